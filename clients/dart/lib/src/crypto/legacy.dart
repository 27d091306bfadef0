import 'dart:convert';
import 'dart:typed_data';

import 'package:cryptography/cryptography.dart';

import 'aes.dart';
import 'bytes.dart';
import 'keyring.dart';
import 'message.dart';

const _block = 16;

/// Seals plaintext as suite 1's data, base64(IV):base64(ciphertext), for clients that know no other. The frame needs the data's
/// hash beside it. [iv] is for tests.
Future<String> sealLegacy(KeyRing ring, List<int> plaintext, {Uint8List? iv}) async {
  final from = iv ?? randomBytes(_block);
  return '${base64.encode(from)}:${base64.encode(await sealCbc(ring.newest.cbc, from, plaintext))}';
}

/// Opens suite 1's data, with [hash] as it came beside it. Nothing proves who sealed it, for which topic or when. Suite 1
/// names no key: of several, the one that gives a text is taken for the right one.
///
/// Whoever acks differently according to the result lets forgers read messages: ack first.
Future<Uint8List> openLegacy(KeyRing ring, String data, String hash) async {
  final parts = data.split(':');
  final iv = parts.length == 2 ? unbase64(parts[0]) : null;
  final sealed = parts.length == 2 ? unbase64(parts[1]) : null;
  if (iv == null || iv.length != _block || sealed == null || sealed.isEmpty || sealed.length % _block != 0) {
    throw malformed();
  }
  final intact = hashOf(data) == hash;
  Uint8List? found;
  for (final root in ring.keys) {
    final plaintext = await openCbc(root.cbc, iv, sealed);
    if (plaintext != null && isText(plaintext)) {
      found = plaintext;
      break;
    }
    found ??= plaintext;
  }
  if (found == null || !intact) throw unauthentic();
  return found;
}

/// Suite 1's file chunk: IV ‖ ciphertext. [iv] is for tests.
Future<Uint8List> sealChunk(SecretKey key, List<int> plaintext, {Uint8List? iv}) async {
  final from = iv ?? randomBytes(_block);
  return concat([from, await sealCbc(key, from, plaintext)]);
}

Future<Uint8List> openChunk(SecretKey key, Uint8List payload) async {
  final n = payload.length - _block;
  if (n <= 0 || n % _block != 0) throw malformed();
  final iv = Uint8List.sublistView(payload, 0, _block);
  final plaintext = await openCbc(key, iv, Uint8List.sublistView(payload, _block));
  if (plaintext == null) throw unauthentic();
  return plaintext;
}
