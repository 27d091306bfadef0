// A move to another connection while the old one is still up, because its node is about to stop (docs/protocol.md, 5.1).
//
// The server takes a clientId's old connection over with the new one's login, and gives everyone else both until this client
// closes the old one. In between a message may come over each, which the dedupe makes one, and what is published over one comes
// back over the other. So that all comes in order, too, what the new connection brings waits until the old one is closed: what the
// new one lacks (it came to the node before the new one was there, or another connection of the user has acked it) comes over
// the old one.
import 'async.dart';
import 'clock.dart';
import 'connection.dart';
import 'frames.dart';

/// How long a move waits for the answers to what was published over the old connection.
const answerTime = Duration(seconds: 1);
// How long the old connection is kept while the new one subscribes, and again while that catches up, in ms.
const _handover = 5000;
// How long it is kept after that: its node may be that far behind the new one's.
const _overlap = 1000;
// Of more, the old one is too far behind to be waited for.
const _maxHeld = 16 * Wire.maxInFlight;

/// What a new connection has brought while the old one was still there.
class Holding {
  bool _on = false;
  List<ServerFrame> _list = [];

  bool get isOn => _on;

  /// Has messages wait until [letGo].
  void begin() => _on = true;

  /// Keeps a message back. False: there are too many.
  bool add(ServerFrame f) {
    if (_list.length >= _maxHeld) return false;
    _list.add(f);
    return true;
  }

  /// Hands on what was held, and holds no more.
  void letGo(void Function(ServerFrame f) deliver) {
    _on = false;
    final held = _list;
    _list = [];
    held.forEach(deliver);
  }
}

/// What this client publishes while it has two connections: over one comes back what the other published. It grows for as long
/// as that lasts, a few seconds.
class OwnIds {
  Set<String>? _ids;

  void begin() => _ids ??= {};

  void end() => _ids = null;

  void add(String key) => _ids?.add(key);

  bool has(String key) => _ids?.contains(key) ?? false;
}

/// Waits until the old connection may be closed: the new one has its subscriptions, and what it reads back has come.
/// [takenOver]: the server closes the old one itself, for there is a clientId.
Future<void> overlap(Connection old, Connection next, {required bool takenOver}) async {
  final down = Future.any([old.down.future, next.down.future]);
  await within(Future.any([next.settled.future, down]), const Duration(milliseconds: _handover));
  if (takenOver) return;
  // What one connection of a user acks is not replayed to the others: they have it live or not at all.
  final begun = monotonic();
  while (!old.isDown && !next.isDown && monotonic() - begun < _handover) {
    final since = next.replayed > begun ? next.replayed : begun;
    final quiet = _overlap - (monotonic() - since);
    if (quiet <= 0) return;
    await within(down, Duration(milliseconds: quiet));
  }
}
