import 'dart:async';
import 'dart:collection';
import 'dart:typed_data';

import 'async.dart';
import 'backoff.dart';
import 'connection.dart';
import 'crypto/bytes.dart';
import 'crypto/keyring.dart';
import 'crypto/legacy.dart';
import 'crypto/message.dart';
import 'crypto/replay.dart';
import 'dedupe.dart';
import 'errors.dart';
import 'files/receivings.dart';
import 'frames.dart';
import 'message.dart';
import 'options.dart';

/// Takes the messages of one topic, one at a time, in order.
typedef MessageHandler = FutureOr<void> Function(Message message);

/// What a topic's subscription is for: messages, or files.
final class Use {
  const Use.messages(MessageHandler this.handler) : files = null;
  const Use.files(FileHandler this.files) : handler = null;

  final MessageHandler? handler;
  final FileHandler? files;
}

/// A message that came, still sealed.
class _Delivery {
  _Delivery(this.key, this.topic, this.id, this.frame, this.data);

  final String key;
  final String topic;
  final String id;
  final ServerFrame frame;
  final String data;

  int get qos => frame.qos == 0 ? 0 : 1;
  bool get legacy => !isSuite2(data);

  Message opened(Uint8List payload) => Message(
        topic: topic,
        id: id,
        payload: payload,
        text: textOf(payload),
        timestamp: frame.timestamp ?? 0,
        seq: frame.seq,
        retry: frame.retry ?? 0,
        replay: frame.replay,
        qos: qos,
        legacy: legacy,
      );
}

/// One topic's. Its messages wait here for the handler, for one that is still to come too: a durable subscriber's come as soon
/// as it has logged in.
class _Subscription {
  _Subscription(this.topic);

  final String topic;
  MessageHandler? handler;
  FileHandler? files;
  final Queue<_Delivery> queue = Queue();
  bool working = false;
}

// What is in hand over all topics, at most. A message beyond it is left unacked: the server sends it again.
const _maxInHand = 16 * Wire.maxInFlight;
const _maxInHandChars = 64 << 20;

/// All topics that a client is subscribed to.
class Subscriptions {
  Subscriptions(
    this._o, {
    required KeyRing Function() ring,
    required void Function(String topic, String id) ack,
    required bool Function(String key) own,
    required void Function(Object err) fault,
    required void Function(String topic) subscribeAgain,
  })  : _ring = ring,
        _sendAck = ack,
        _own = own,
        _fault = fault,
        _subscribeAgain = subscribeAgain,
        _seen = Dedupe(_o.dedupeSize);

  final Settings _o;
  final KeyRing Function() _ring;
  final void Function(String topic, String id) _sendAck;
  final bool Function(String key) _own;
  final void Function(Object err) _fault;
  final void Function(String topic) _subscribeAgain;
  final Dedupe _seen;
  final ReplayGuard _replay = ReplayGuard();
  final Map<String, _Subscription> _topics = {};

  /// Topics that the server held for this durable subscriber.
  Set<String> _kept = {};
  int _count = 0;
  int _chars = 0;
  bool _done = false;
  int _active = 0;
  final List<Completer<void>> _idle = [];

  /// Gives a topic's subscription a use. False: it has that already.
  bool claim(String topic, Use use) {
    final sub = _of(topic);
    if (use.handler != null && sub.handler != null || use.files != null && sub.files != null) return false;
    sub.handler ??= use.handler;
    sub.files ??= use.files;
    unawaited(_work(sub));
    return true;
  }

  /// Takes a use back that never became real. True: it was the last.
  bool release(String topic, Use use) {
    final sub = _topics[topic];
    if (sub == null) return false;
    if (use.handler != null && identical(sub.handler, use.handler)) sub.handler = null;
    if (use.files != null && identical(sub.files, use.files)) sub.files = null;
    if (sub.handler != null || sub.files != null) return false;
    remove(topic);
    return true;
  }

  _Subscription _of(String topic) => _topics[topic] ??= _Subscription(topic);

  /// Ends a topic's subscription: no call of its handler begins after this.
  void remove(String topic) {
    _kept.remove(topic);
    final sub = _topics.remove(topic);
    if (sub == null) return;
    sub.handler = null;
    for (final d in sub.queue) {
      _leave(d);
      _seen.finish(d.key, forGood: false);
    }
    sub.queue.clear();
  }

  /// Notes what the server keeps for this subscriber, and lists the topics to subscribe again.
  List<String> loggedIn(Login l) {
    _kept = l.topics.toSet();
    return [
      for (final sub in _topics.values)
        if ((sub.handler != null || sub.files != null) && !(l.resumed && _kept.contains(sub.topic))) sub.topic,
    ];
  }

  /// A topic could not be subscribed again. It stays: for a moment later where that may help, else for the next connection.
  void refusedAgain(String topic, FastPortException err) {
    _fault(FastPortException(err.code, 'subscribe $topic again: ${err.message}',
        topic: topic, retryable: err.retryable, cause: err));
    if (!err.retryable) return;
    Timer(const Duration(seconds: 1) + Backoff.jitter(_o.backoffMax ~/ 4), () {
      if (_topics.containsKey(topic) && !_done) _subscribeAgain(topic);
    });
  }

  /// What takes the topic's files, or null.
  FileHandler? fileHandler(String topic) => _topics[topic]?.files;

  /// Was it handed over, or is it about to be?
  bool knows(ServerFrame f) => _seen.knows(keyOf(f.topic ?? '', f.messageId ?? ''));

  /// Takes a message frame.
  void deliver(ServerFrame f) {
    final topic = f.topic, id = f.messageId, data = f.data;
    if (topic == null || id == null || data == null || _done) return;
    final sub = _topics[topic] ?? (_kept.contains(topic) ? _of(topic) : null);
    if (sub == null) return;
    if (_count > 0 && (_count >= _maxInHand || _chars + data.length > _maxInHandChars)) return;
    final d = _Delivery(keyOf(topic, id), topic, id, f, data);
    final verdict = _own(d.key) ? Verdict.acked : _seen.begin(d.key);
    if (verdict == Verdict.acked) _ack(d);
    if (verdict != Verdict.fresh) return;
    _count++;
    _chars += data.length;
    sub.queue.add(d);
    unawaited(_work(sub));
  }

  Future<void> _work(_Subscription sub) async {
    if (sub.working) return;
    sub.working = true;
    while (!_done && sub.queue.isNotEmpty) {
      final handler = sub.handler;
      if (handler == null) break;
      _active++;
      await _handle(sub.queue.removeFirst(), handler);
      if (--_active == 0) _wakeIdle();
    }
    sub.working = false;
  }

  void _wakeIdle() {
    for (final idle in _idle) {
      idle.complete();
    }
    _idle.clear();
  }

  Future<void> _handle(_Delivery d, MessageHandler handler) async {
    final (:err, :settled) = await _process(d, handler);
    _leave(d);
    if (err != null) {
      final code = err is FastPortException ? err.code : 'handler_failed';
      _fault(FastPortException(code, 'message ${d.id} on ${d.topic}: ${reasonOf(err)}',
          topic: d.topic, messageId: d.id, cause: err));
    }
    _seen.finish(d.key, forGood: settled);
    if (settled && !d.legacy) _ack(d);
  }

  /// Opens a message and hands it over. settled: it is to be acked, whatever became of it.
  Future<({Object? err, bool settled})> _process(_Delivery d, MessageHandler handler) async {
    if (d.legacy) {
      _ack(d); // before it is opened: see the option allowLegacy
      if (!_o.allowLegacy) {
        final err = FastPortException('legacy_refused', 'sealed with suite 1, which is not allowed here');
        return (err: err, settled: true);
      }
      try {
        await handler(d.opened(await openLegacy(_ring(), d.data, d.frame.hash ?? '')));
        return (err: null, settled: true);
      } catch (err) {
        return (err: err, settled: true);
      }
    }
    final ({Uint8List plaintext, Mark mark}) opened;
    try {
      opened = await openMessage(_ring(), Header(d.topic, d.id, d.frame.timestamp ?? 0), d.data);
    } catch (err) {
      return (err: err, settled: !isCode(err, 'unknown_key'));
    }
    if (_replay.seen(opened.mark)) return (err: _replayed(), settled: true);
    try {
      await handler(d.opened(opened.plaintext));
    } catch (err) {
      // What a handler throws has no code of ours, whatever it is.
      final failed = FastPortException('handler_failed', 'the handler failed: ${reasonOf(err)}', cause: err);
      return (err: failed, settled: false);
    }
    return _replay.accept(opened.mark) ? (err: null, settled: true) : (err: _replayed(), settled: true);
  }

  void _leave(_Delivery d) {
    _count--;
    _chars -= d.data.length;
  }

  void _ack(_Delivery d) {
    if (d.qos > 0) _sendAck(d.topic, d.id);
  }

  /// Lets no further call of a handler begin, and waits for those at work at most so long.
  Future<void> stop(Duration most) async {
    _done = true;
    if (_active == 0) return;
    final idle = Completer<void>();
    _idle.add(idle);
    await within(idle.future, most);
  }
}

FastPortException _replayed() => FastPortException('replayed', 'this very message was accepted before');
