import 'dart:convert';
import 'dart:typed_data';

import 'package:cryptography/cryptography.dart';

import '../errors.dart';
import 'bytes.dart';

const _keySize = 32;

/// A new root key, in base64: 32 random bytes, for every member of a session.
String generateKey() => base64.encode(randomBytes(_keySize));

/// Reads a root key. One that anyone would guess is refused: all bytes equal, or counting.
Uint8List parseKey(String text) {
  final raw = unbase64(text);
  if (raw == null || raw.length != _keySize) {
    throw FastPortException('bad_option', 'aesKey: takes 32 bytes in base64 (44 characters)');
  }
  final step = (raw[1] - raw[0]) & 0xff;
  var even = step == 0 || step == 1 || step == 0xff;
  for (var i = 1; i < raw.length; i++) {
    even = even && ((raw[i] - raw[i - 1]) & 0xff) == step;
  }
  if (even) {
    throw FastPortException('weak_key', 'aesKey: anyone would guess it; make one with generateKey()');
  }
  return raw;
}

/// A root key, and what follows from it.
final class RootKey {
  RootKey._(this._root, this._session, this.kid);

  static Future<RootKey> load(Uint8List raw, String session) async {
    final root = SecretKey(raw);
    return RootKey._(root, session, await _derive(root, utf8.encode(session), 'fastport/2/kid', 4));
  }

  final SecretKey _root;
  final String _session;

  /// Names the key inside its session.
  final Uint8List kid;

  /// Suite 1 uses the root key itself.
  SecretKey get cbc => _root;

  /// The AES-GCM key that follows from this one.
  Future<SecretKey> gcm(Uint8List salt, String info) async => SecretKey(await _derive(_root, salt, info, _keySize));

  /// What the server holds of the key, to tell a client with a wrong one: 32 hex digits from which the key does not follow.
  Future<String> keyCheck() async => hex(await _derive(_root, utf8.encode(_session), 'fastport/2/keycheck', 16));

  /// The key of push envelopes in base64, the one derived key that a server gets.
  Future<String> fcmKey() async => base64.encode(await _derive(_root, utf8.encode(_session), 'fastport/2/fcm', _keySize));
}

Future<Uint8List> _derive(SecretKey root, Uint8List salt, String info, int length) async {
  final hkdf = Hkdf(hmac: Hmac.sha256(), outputLength: length);
  final key = await hkdf.deriveKey(secretKey: root, nonce: salt, info: utf8.encode(info));
  return bytesOf(await key.extractBytes());
}
