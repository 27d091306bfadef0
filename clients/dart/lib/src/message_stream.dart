import 'dart:async';

import 'message.dart';
import 'subscriptions.dart';

/// The messages of a topic as a stream. [subscribe] gives it the handler; [unsubscribe] ends that.
///
/// A message is acked when the one who listens asks for more: at once where it listens with a callback, at the loop's next turn
/// where that is an `await for`. Cancelling acks the last one and unsubscribes.
Stream<Message> messageStream({
  required Future<void> Function(MessageHandler handler) subscribe,
  required Future<void> Function() unsubscribe,
  required Future<void> ended,
}) {
  var room = Completer<void>();
  var ours = true; // false: the topic is another's
  void makeRoom() {
    if (!room.isCompleted) room.complete();
  }

  late final StreamController<Message> out;
  Future<void> take(Message message) async {
    if (!out.hasListener) throw StateError('nobody listens any more');
    room = Completer<void>();
    out.add(message);
    await Future<void>.delayed(Duration.zero); // it is handed over now, and whoever needs time has paused
    if (out.isPaused) await room.future;
  }

  Future<void> begin() async {
    try {
      await subscribe(take);
    } catch (err, at) {
      ours = false;
      if (!out.isClosed) {
        out.addError(err, at);
        await out.close();
      }
    }
  }

  out = StreamController<Message>(
    onListen: () => unawaited(begin()),
    onResume: makeRoom,
    onCancel: () async {
      final ending = ours ? unsubscribe() : null; // before the last message is let go: no other comes then
      makeRoom();
      await ending;
    },
  );
  unawaited(ended.then((_) async {
    makeRoom();
    if (out.hasListener && !out.isClosed) await out.close();
  }));
  return out.stream;
}
