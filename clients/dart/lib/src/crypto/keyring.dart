import 'dart:typed_data';

import 'package:cryptography/cryptography.dart';

import '../errors.dart';
import 'bytes.dart';
import 'key.dart';

// The cache of message keys: a message from a sender beyond it costs one derivation more.
const _maxSenders = 1024;

/// The keys of one session, the newest first: it seals with the newest and opens with any.
final class KeyRing {
  KeyRing._(this.session, this.keys);

  /// Takes keys in base64, the newest first.
  static Future<KeyRing> load(String session, List<String> keys) async {
    if (keys.isEmpty) throw FastPortException('bad_option', 'aesKey: a ring needs a key');
    return KeyRing._(session, [for (final key in keys) await RootKey.load(parseKey(key), session)]);
  }

  final String session;
  final List<RootKey> keys;

  /// The oldest first.
  final Map<String, SecretKey> _senders = {};

  /// The key that the ring seals with.
  RootKey get newest => keys.first;

  /// Is this the key check of any key in the ring? A session may have been created with an older one.
  Future<bool> holds(String check) async {
    for (final key in keys) {
      if (await key.keyCheck() == check) return true;
    }
    return false;
  }

  /// The key of a sender's messages.
  Future<SecretKey> messageKey(RootKey root, Uint8List sender) async =>
      _senders[_nameOf(root, sender)] ?? await root.gcm(sender, 'fastport/2/message/$session');

  /// Keeps a sender's key once a message has proved that the sender is real. A full cache loses its oldest.
  void remember(RootKey root, Uint8List sender, SecretKey key) {
    final name = _nameOf(root, sender);
    if (_senders.containsKey(name)) return;
    if (_senders.length >= _maxSenders) _senders.remove(_senders.keys.first);
    _senders[name] = key;
  }
}

String _nameOf(RootKey root, Uint8List sender) => hex(root.kid) + hex(sender);
