import 'dart:convert';

import 'package:http/http.dart' as http;

import 'crypto/key.dart';
import 'errors.dart';

/// A Firebase service account's.
final class FcmConfig {
  const FcmConfig({
    required this.projectId,
    required this.privateKey,
    required this.clientEmail,
    this.enabled = true,
  });

  final String projectId;
  final String privateKey;
  final String clientEmail;
  final bool enabled;
}

/// A session that was created. [secretKey] is shown this once, and needed to drop or suspend it.
final class Session {
  const Session({required this.sessionName, required this.secretKey});

  final String sessionName;
  final String secretKey;
}

/// Creates a session at [serverUrl] (http, https, ws or wss). What is left out has the server's default; times are in ms. An existing name
/// is code `conflict`.
///
/// The server gets two keys that follow from [aesKey], and from which it does not follow. [suite] 2 has it refuse data of any other
/// form. [messageExpiryTime] is the server's most where [neverExpires] is set. [adminToken] is needed where the server lets only
/// admins create sessions.
Future<Session> createSession(
  String serverUrl, {
  required String sessionName,
  required String password,
  required String aesKey,
  int? suite,
  int? retryInterval,
  int? maxRetryLimit,
  int? messageExpiryTime,
  bool neverExpires = false,
  int? sessionExpiry,
  int? subscriptionExpiry,
  FcmConfig? fcmConfig,
  String? adminToken,
  http.Client? client,
}) async {
  final key = await RootKey.load(parseKey(aesKey), sessionName);
  final answer = await _call(client, serverUrl, 'createSession', adminToken, {
    'sessionName': sessionName,
    'password': password,
    if (suite != null) 'suite': suite,
    if (retryInterval != null) 'retryInterval': retryInterval,
    if (maxRetryLimit != null) 'maxRetryLimit': maxRetryLimit,
    if (messageExpiryTime != null || neverExpires) 'messageExpiryTime': messageExpiryTime,
    if (sessionExpiry != null) 'sessionExpiry': sessionExpiry,
    if (subscriptionExpiry != null) 'subscriptionExpiry': subscriptionExpiry,
    if (fcmConfig != null)
      'fcmConfig': {
        'projectId': fcmConfig.projectId,
        'privateKey': fcmConfig.privateKey,
        'clientEmail': fcmConfig.clientEmail,
        'enabled': fcmConfig.enabled,
      },
    'fcmKey': await key.fcmKey(),
    'keyCheck': await key.keyCheck(),
  });
  return Session(sessionName: sessionName, secretKey: '${answer['secretKey'] ?? ''}');
}

/// Deletes a session with all that it holds and closes its connections: by its password and secret key, or an admin's token.
Future<void> dropSession(
  String serverUrl, {
  required String sessionName,
  String? password,
  String? secretKey,
  String? adminToken,
  http.Client? client,
}) async {
  await _call(client, serverUrl, 'dropSession', adminToken, _right(sessionName, password, secretKey));
}

/// Closes a session's connections and refuses new ones, or (false) lets them in again. By what right: as [dropSession].
Future<void> suspendSession(
  String serverUrl, {
  required String sessionName,
  required bool suspend,
  String? password,
  String? secretKey,
  String? adminToken,
  http.Client? client,
}) async {
  final body = {..._right(sessionName, password, secretKey), 'suspend': suspend};
  await _call(client, serverUrl, 'suspendSession', adminToken, body);
}

Map<String, Object?> _right(String sessionName, String? password, String? secretKey) => {
      'sessionName': sessionName,
      if (password != null) 'password': password,
      if (secretKey != null) 'secretKey': secretKey,
    };

Future<Map<String, Object?>> _call(
  http.Client? given,
  String serverUrl,
  String name,
  String? token,
  Map<String, Object?> body,
) async {
  final at = Uri.parse(serverUrl.replaceFirst(RegExp('^ws'), 'http')).resolve('/api/$name');
  final request = http.Request('POST', at)
    ..followRedirects = false // what is sent are secrets, meant for one host
    ..headers['Content-Type'] = 'application/json'
    ..body = jsonEncode(body);
  if (token != null) request.headers['Authorization'] = 'Bearer $token';
  final client = given ?? http.Client();
  final http.Response response;
  try {
    response = await http.Response.fromStream(await client.send(request));
  } catch (cause) {
    throw FastPortException('disconnected', '$name: no answer from ${at.host}', cause: cause);
  } finally {
    if (given == null) client.close();
  }
  Object? answer;
  try {
    answer = jsonDecode(response.body);
  } on FormatException {
    // told below
  }
  if (answer is Map<String, Object?> && answer['success'] == true) return answer;
  final said = answer is Map<String, Object?> ? answer : const <String, Object?>{};
  throw FastPortException(
    '${said['code'] ?? 'internal'}',
    '${said['error'] ?? '$name: the server answered ${response.statusCode}'}',
  );
}
