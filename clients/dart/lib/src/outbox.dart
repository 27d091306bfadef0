import 'dart:async';
import 'dart:math';
import 'dart:typed_data';

import 'async.dart';
import 'backoff.dart';
import 'clock.dart';
import 'connection.dart';
import 'dedupe.dart';
import 'errors.dart';
import 'frames.dart';
import 'options.dart';

/// What `emit` completes with.
final class Receipt {
  const Receipt({required this.messageId, required this.seq, required this.tries});

  final String messageId;

  /// The message's place in its topic; null where nothing had to be stored.
  final int? seq;

  /// How many times it went out. One that went out again may stand behind messages that were sent after it.
  final int tries;
}

/// A message that is published and not acked yet.
class Publication {
  Publication(this.topic, this.id, this.payload, this.qos) : key = keyOf(topic, id);

  final String key;
  final String topic;
  final String id;
  final Uint8List payload;
  final int qos;
  final Completer<Receipt> done = Completer();

  /// Times it went out.
  int tries = 0;

  /// When it last did, on the monotonic clock.
  int sent = 0;

  /// To go out.
  bool waiting = true;

  /// Counts how often it was taken up: what was sealed in an earlier turn does not go out.
  int turn = 0;

  /// Not before, on the monotonic clock; 0: nothing was put off.
  int later = 0;
}

// How much is sealed and sent before anything else may.
const _batch = 64;
const _batchBytes = 128 << 10;
// How many bytes may be out and unanswered before more goes out: the socket does not tell what it holds.
const _inFlight = 1 << 20;

/// What is published and not acked yet, at most queueSize messages and queueBytes of them. More is refused.
class Outbox {
  Outbox(this._o, {required Future<ClientFrame> Function(Publication p) seal, required void Function() wake})
      : _seal = seal,
        _wake = wake;

  final Settings _o;
  final Future<ClientFrame> Function(Publication p) _seal;
  final void Function() _wake;

  /// In the order of the calls.
  final Map<String, Publication> _pending = {};

  /// To go out, in order; those that are over are skipped.
  List<Publication> _queue = [];
  int _next = 0; // in _queue
  int _bytes = 0;

  /// Those not answered on this connection yet.
  final Set<Publication> _out = {};
  int _outBytes = 0;

  /// The client has ended.
  FastPortException? _error;
  final List<Completer<void>> _emptied = [];
  final List<Completer<void>> _quieted = [];

  /// Queues a message.
  Publication add(String topic, String id, Uint8List payload, int qos) {
    if (_error case final err?) throw err;
    final p = Publication(topic, id, payload, qos);
    if (_pending.containsKey(p.key)) {
      throw FastPortException('duplicate', 'a message of this topic and id is being published already',
          topic: topic, messageId: id);
    }
    if (_pending.length >= _o.queueSize || _pending.isNotEmpty && _bytes + payload.length > _o.queueBytes) {
      throw FastPortException('queue_full', 'too much is published and not acked: wait for earlier calls of emit',
          topic: topic, messageId: id);
    }
    _pending[p.key] = p;
    _queue.add(p);
    _bytes += payload.length;
    _wake();
    return p;
  }

  /// Seals and sends what waits, up to a batch. True: there was something. [may] tells whether k may still send messages,
  /// [sending] is told of each that goes out.
  Future<bool> pull(Connection k, {required bool Function() may, required void Function(String key) sending}) async {
    final batch = _take();
    if (batch.isEmpty) return false;
    final turns = [for (final p in batch) p.turn];
    final frames = await Future.wait(batch.map(_sealed));
    for (final (i, p) in batch.indexed) {
      final frame = frames[i];
      if (frame == null || p.turn != turns[i] || !_holds(p)) continue; // it has ended, or goes over another connection
      if (!may()) {
        p.waiting = true;
        continue;
      }
      p.tries++;
      p.sent = monotonic();
      if (_out.add(p)) _outBytes += p.payload.length;
      sending(p.key);
      k.send(frame);
    }
    if (batch.any((p) => p.waiting)) _requeue();
    return true;
  }

  Future<ClientFrame?> _sealed(Publication p) async {
    try {
      return await _seal(p);
    } catch (err) {
      _settle(p, err: err);
      return null;
    }
  }

  List<Publication> _take() {
    final batch = <Publication>[];
    var bytes = 0;
    while (_next < _queue.length && batch.length < _batch && bytes < _batchBytes) {
      final p = _queue[_next];
      if (p.waiting && _holds(p)) {
        if (_outBytes + bytes > 0 && _outBytes + bytes + p.payload.length > _inFlight) break;
        p.waiting = false;
        p.turn++;
        p.sent = monotonic();
        bytes += p.payload.length;
        batch.add(p);
      }
      _next++;
    }
    if (_next == _queue.length || _next > 4096) {
      _queue.removeRange(0, _next);
      _next = 0;
    }
    return batch;
  }

  bool _holds(Publication p) => identical(_pending[p.key], p);

  /// Puts all that waits in the order of the calls.
  void _requeue() {
    _queue = _pending.values.where((p) => p.waiting).toList();
    _next = 0;
  }

  /// Lets all that is pending go out again over a new connection, in its order.
  void restart() {
    for (final p in _pending.values) {
      if (p.qos == 0 && p.tries > 0) continue; // the old connection may still bring its ack
      p.waiting = true;
      p.turn++;
      p.later = 0;
      _answered(p);
    }
    _requeue();
  }

  /// The connection is down: what may go out only once has had its chance.
  void lost() {
    for (final p in _pending.values.toList()) {
      if (p.qos == 0 && p.tries > 0) _settle(p, err: _about(p, 'lost', 'connection lost: it may or may not have arrived'));
    }
  }

  /// Sends again what has stayed unanswered, or was put off. To be called about once a second while there is a connection.
  void tick() {
    final now = monotonic();
    var again = false;
    for (final p in _pending.values.toList()) {
      if (p.waiting || p.tries == 0) continue;
      if (p.later > 0 ? now < p.later : now - p.sent < _o.retryInterval) continue;
      if (p.qos == 0 || p.tries > _o.maxRetries) {
        _settle(p, err: _about(p, 'no_answer', 'no ack after ${p.tries} tries: it may or may not have arrived'));
        continue;
      }
      p.waiting = again = true;
      p.later = 0;
      _answered(p); // it counts again once it is out again
    }
    if (!again) return;
    _requeue();
    _wake();
  }

  /// Takes an ack_received.
  void acked(ServerFrame f) {
    final p = _find(f);
    if (p != null) _settle(p, seq: f.seq);
  }

  /// Takes a failure: for good, or for now.
  void refused(ServerFrame f) {
    final p = _find(f);
    if (p == null) return;
    final err = f.refusal();
    if (p.qos == 0 || !err.retryable || p.tries > _o.maxRetries) return _settle(p, err: err);
    final b = Backoff(_o.backoffMin, _o.backoffMax)..failures = max(0, p.tries - 1);
    p.later = monotonic() + b.next().inMilliseconds;
    _answered(p);
    _wake();
  }

  Publication? _find(ServerFrame f) => _pending[keyOf(f.topic ?? '', f.messageId ?? '')];

  /// Gives a message up, unless it has ended.
  void abandon(Publication p) => _settle(p, err: cancelled());

  /// Without an error it was acked.
  void _settle(Publication p, {Object? err, int? seq}) {
    if (!_holds(p)) return;
    _pending.remove(p.key);
    _bytes -= p.payload.length;
    _answered(p);
    if (err == null) {
      p.done.complete(Receipt(messageId: p.id, seq: seq, tries: p.tries));
    } else {
      p.done.completeError(err);
    }
    if (_pending.isEmpty) _release(_emptied);
    _wake(); // there is room for more
  }

  void _answered(Publication p) {
    if (_out.remove(p)) _outBytes -= p.payload.length;
    if (_out.isEmpty) _release(_quieted);
  }

  void _release(List<Completer<void>> waiting) {
    for (final done in waiting) {
      done.complete();
    }
    waiting.clear();
  }

  /// Completes once nothing is pending.
  Future<void> empty() => _when(_pending.isEmpty, _emptied);

  /// Completes once all that went out is answered. No more may go out meanwhile.
  Future<void> quiet() => _when(_out.isEmpty, _quieted);

  Future<void> _when(bool now, List<Completer<void>> waiting) {
    if (now) return Future.value();
    final done = Completer<void>();
    waiting.add(done);
    return done.future;
  }

  /// Names all that is pending.
  Iterable<String> get keys => _pending.keys;

  /// Ends all that is pending, and all that comes.
  void fail(FastPortException err) {
    _error ??= err;
    for (final p in _pending.values.toList()) {
      _settle(p, err: err);
    }
    _release(_emptied);
  }
}

FastPortException _about(Publication p, String code, String message) =>
    FastPortException(code, message, topic: p.topic, messageId: p.id);
