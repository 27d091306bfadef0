import 'dart:convert';
import 'dart:typed_data';

import 'package:cryptography/cryptography.dart';

import '../errors.dart';
import 'aes.dart';
import 'bytes.dart';
import 'keyring.dart';

/// What a message's seal binds besides its session: moved to another place, it does not open.
final class Header {
  const Header(this.topic, this.messageId, this.timestamp);

  final String topic;
  final String messageId;

  /// ms since 1970
  final int timestamp;
}

/// Names one sealed message: who sealed it (a random name that changes at least daily, in hex) and its number, of 64 bits.
final class Mark {
  const Mark(this.sender, this.counter);

  final String sender;
  final BigInt counter;
}

// Behind "2." and base64url: kid(4) ‖ S(16) ‖ counter(8) ‖ ciphertext ‖ tag(16).
const _prefix = '2.';
const _head = 4 + 16 + 8;
const _tag = 16;

// A sender's key is given up after so many messages or so long, whichever comes first.
const _maxCounter = 0x80000000;
const _maxAge = 24 * 3600 * 1000;

/// Has the data suite 2's prefix? Anything else is suite 1 or not ours.
bool isSuite2(String data) => data.startsWith(_prefix);

/// Seals messages with the newest key of a ring, under a key of its own. Each client has one.
class Sealer {
  /// All but [ring] is for tests.
  Sealer(this._ring, {int Function()? now, Uint8List Function(int n)? random, int counter = 0})
      : _now = now ?? _deviceTime,
        _random = random ?? randomBytes {
    if (counter > 0) _draw().counter = counter;
  }

  final KeyRing _ring;
  final int Function() _now;
  final Uint8List Function(int n) _random;
  _Sender? _sender;

  /// Seals plaintext for a place, as suite 2's data.
  Future<String> seal(Header header, List<int> plaintext) async {
    var s = _sender;
    if (s == null || s.counter >= _maxCounter || _now() - s.born >= _maxAge) s = _draw();
    // The number is taken before anything is waited for: none is ever given out twice.
    final number = s.counter++;
    final head = Uint8List(_head)
      ..setAll(0, _ring.newest.kid)
      ..setAll(4, s.salt);
    ByteData.sublistView(head).setUint32(24, number); // the upper half is 0: see _maxCounter
    final sealed = await sealGcm(
      await s.key,
      messageNonce(Uint8List.sublistView(head, 20)),
      plaintext,
      aad: messageAad(_ring.session, header),
    );
    return _prefix + base64url(concat([head, sealed]));
  }

  _Sender _draw() {
    final salt = _random(16);
    return _sender = _Sender(salt, _ring.messageKey(_ring.newest, salt), _now());
  }
}

int _deviceTime() => DateTime.now().millisecondsSinceEpoch;

class _Sender {
  _Sender(this.salt, this.key, this.born);

  final Uint8List salt;
  final Future<SecretKey> key;
  final int born;
  int counter = 0;
}

/// Opens suite 2's data, which must have been sealed for this place. It fails with the codes `malformed`, `unknown_key` or
/// `authentication`. The mark is for a ReplayGuard: this function remembers nothing.
Future<({Uint8List plaintext, Mark mark})> openMessage(KeyRing ring, Header header, String data) async {
  final raw = isSuite2(data) ? unbase64url(data.substring(_prefix.length)) : null;
  if (raw == null || raw.length < _head + _tag) throw malformed();
  final sender = raw.sublist(4, 20);
  final counter = Uint8List.sublistView(raw, 20, _head);
  final sealed = Uint8List.sublistView(raw, _head);
  final aad = messageAad(ring.session, header);
  var known = false;
  for (final root in ring.keys) {
    if (!_begins(raw, root.kid)) continue;
    known = true; // and go on: two keys may share their four bytes
    final key = await ring.messageKey(root, sender);
    final plaintext = await openGcm(key, messageNonce(counter), sealed, aad: aad);
    if (plaintext == null) continue;
    ring.remember(root, sender, key);
    return (plaintext: plaintext, mark: Mark(hex(sender), BigInt.parse(hex(counter), radix: 16)));
  }
  if (!known) {
    throw FastPortException('unknown_key', 'sealed with a key that is not held here: ${hex(raw.sublist(0, 4))}');
  }
  throw unauthentic();
}

bool _begins(Uint8List raw, Uint8List kid) {
  for (var i = 0; i < kid.length; i++) {
    if (raw[i] != kid[i]) return false;
  }
  return true;
}

FastPortException malformed() => FastPortException('malformed', 'has not the form of a sealed text');

/// Why is not told: what tells one reason from another opens messages to whoever sends forgeries.
FastPortException unauthentic() =>
    FastPortException('authentication', 'not sealed with this key for this place, or changed');

/// The counter's eight bytes behind four of zero.
Uint8List messageNonce(Uint8List counter) => Uint8List(12)..setAll(4, counter);

/// Binds a message to its place. Each part has its length in front, so that no two places give the same bytes.
Uint8List messageAad(String session, Header h) {
  final parts = <List<int>>[];
  for (final part in ['fastport/2', session, h.topic, h.messageId, '${h.timestamp}']) {
    final bytes = utf8.encode(part);
    final length = Uint8List(4);
    ByteData.sublistView(length).setUint32(0, bytes.length);
    parts
      ..add(length)
      ..add(bytes);
  }
  return concat(parts);
}
