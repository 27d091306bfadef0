import 'package:web_socket_channel/web_socket_channel.dart';

import 'crypto/key.dart';
import 'errors.dart';
import 'frames.dart';
import 'state.dart';

/// What a client was made with, checked, every default filled in. The options themselves are explained at FastPort's constructor.
final class Settings {
  Settings({
    required Object serverUrl,
    required this.sessionName,
    required this.password,
    required Object aesKey,
    required this.clientId,
    required this.userId,
    required this.suite,
    required this.allowLegacy,
    required this.wait,
    required this.onError,
    required this.onState,
    required this.retryInterval,
    required this.maxRetries,
    required this.backoffMin,
    required this.backoffMax,
    required this.connectTimeout,
    required this.pingInterval,
    required this.pongTimeout,
    required this.queueSize,
    required this.queueBytes,
    required this.dedupeSize,
    required this.webSocket,
  })  : urls = [for (final text in _texts('serverUrl', serverUrl)) _socketUrl(text)],
        keys = _texts('aesKey', aesKey) {
    for (final (name, value) in [('sessionName', sessionName), ('password', password)]) {
      if (value.isEmpty) throw FastPortException('bad_option', '$name is empty');
    }
    if (clientId.isNotEmpty) checkText('clientId', clientId, 128);
    if (userId.isNotEmpty) checkText('userId', userId, 128);
    keys.forEach(parseKey);
    if (suite != 1 && suite != 2) throw FastPortException('bad_option', 'suite: takes 1 or 2');
    for (final (name, value) in [
      ('retryInterval', retryInterval),
      ('maxRetries', maxRetries),
      ('backoffMin', backoffMin),
      ('backoffMax', backoffMax),
      ('connectTimeout', connectTimeout),
      ('pingInterval', pingInterval),
      ('pongTimeout', pongTimeout),
      ('queueSize', queueSize),
      ('queueBytes', queueBytes),
      ('dedupeSize', dedupeSize),
    ]) {
      if (value < 0) throw FastPortException('bad_option', '$name: takes a number from 0');
    }
  }

  final List<Uri> urls;
  final String sessionName;
  final String password;
  final List<String> keys;
  final String clientId;
  final String userId;
  final int suite;
  final bool allowLegacy;
  final bool wait;
  final void Function(Object err) onError;
  final void Function(FastPortState state) onState;
  final int retryInterval;
  final int maxRetries;
  final int backoffMin;
  final int backoffMax;
  final int connectTimeout;
  final int pingInterval;
  final int pongTimeout;
  final int queueSize;
  final int queueBytes;
  final int dedupeSize;
  final WebSocketChannel Function(Uri url) webSocket;
}

/// One text, or a list of them.
List<String> _texts(String name, Object given) {
  final list = given is String ? [given] : given;
  if (list is List<String> && list.isNotEmpty) return List.of(list);
  throw FastPortException('bad_option', '$name: takes a String, or a List<String> that is not empty');
}

Uri _socketUrl(String text) {
  final url = Uri.tryParse(text);
  final scheme = switch (url?.scheme) { 'ws' || 'http' => 'ws', 'wss' || 'https' => 'wss', _ => null };
  if (url == null || scheme == null || url.host.isEmpty) {
    throw FastPortException('bad_option', 'serverUrl: takes ws://host:port or wss://host');
  }
  // A port that the address does not name is that of its scheme, and both pairs of schemes have the same.
  return url.replace(scheme: scheme).removeFragment();
}
