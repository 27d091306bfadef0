import 'dart:convert';
import 'dart:typed_data';

import 'aes.dart';
import 'bytes.dart';
import 'keyring.dart';

/// A push token and the device that it wakes, as the `encryptedData` of register_fcm_token, bound to its user. It needs its
/// hash beside it. [nonce] is for tests.
Future<String> sealDevice(
  KeyRing ring,
  String userId, {
  required String fcmToken,
  required String deviceId,
  required String platform,
  Uint8List? nonce,
}) async {
  final from = nonce ?? randomBytes(12);
  final key = await ring.newest.gcm(utf8.encode(ring.session), 'fastport/2/fcm');
  final plaintext = jsonEncode({'fcmToken': fcmToken, 'deviceId': deviceId, 'platform': platform});
  final sealed = await sealGcm(key, from, utf8.encode(plaintext), aad: utf8.encode(userId));
  return base64.encode(concat([from, sealed]));
}
