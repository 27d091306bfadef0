// The two ciphers of the protocol, in one form: bytes in, bytes out, null for what does not open.
import 'dart:typed_data';

import 'package:cryptography/cryptography.dart';

import 'bytes.dart';

const _tag = 16;

/// AES-256-GCM: ciphertext ‖ tag.
Future<Uint8List> sealGcm(
  SecretKey key,
  Uint8List nonce,
  List<int> plaintext, {
  List<int> aad = const <int>[],
}) async {
  final box = await AesGcm.with256bits().encrypt(plaintext, secretKey: key, nonce: nonce, aad: aad);
  return concat([box.cipherText, box.mac.bytes]);
}

/// Null: it was not sealed so.
Future<Uint8List?> openGcm(
  SecretKey key,
  Uint8List nonce,
  Uint8List sealed, {
  List<int> aad = const <int>[],
}) async {
  final cut = sealed.length - _tag;
  if (cut < 0) return null;
  final box = SecretBox(
    Uint8List.sublistView(sealed, 0, cut),
    nonce: nonce,
    mac: Mac(Uint8List.sublistView(sealed, cut)),
  );
  try {
    return bytesOf(await AesGcm.with256bits().decrypt(box, secretKey: key, aad: aad));
  } catch (_) {
    return null; // each platform has a failure of its own, and none may tell more than this
  }
}

/// AES-256-CBC with PKCS#7.
Future<Uint8List> sealCbc(SecretKey key, Uint8List iv, List<int> plaintext) async {
  final cipher = AesCbc.with256bits(macAlgorithm: MacAlgorithm.empty);
  final box = await cipher.encrypt(plaintext, secretKey: key, nonce: iv);
  return bytesOf(box.cipherText);
}

/// Null: the padding is wrong.
Future<Uint8List?> openCbc(SecretKey key, Uint8List iv, Uint8List sealed) async {
  final cipher = AesCbc.with256bits(macAlgorithm: MacAlgorithm.empty);
  try {
    return bytesOf(await cipher.decrypt(SecretBox(sealed, nonce: iv, mac: Mac.empty), secretKey: key));
  } catch (_) {
    return null;
  }
}
