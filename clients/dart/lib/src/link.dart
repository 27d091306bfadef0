import 'dart:async';
import 'dart:math';

import 'async.dart';
import 'backoff.dart';
import 'clock.dart';
import 'connection.dart';
import 'errors.dart';
import 'frames.dart';
import 'move.dart';
import 'state.dart';

/// What happens with each connection: the client's part.
abstract interface class Duties implements Owner {
  /// Looks at what the server answered to init; throws where it will not do.
  Future<void> onLogin(Connection k, ServerFrame answer);

  /// k is the connection now, from which all goes out that waits or was not answered on the one before; old is that one where
  /// it is still up.
  void onAttach(Connection k, Connection? old);

  /// There is none now.
  void onDetach();

  /// A move is about to begin. Completes once all that went out is answered.
  Future<void> onSettle();

  /// The answers were waited for.
  void onSettled();

  /// A move is over: the old connection is closed (next is the one that took its place), or the new one failed (null).
  void onRetired(Connection? next);

  /// The link has ended: see its error.
  void onEnd(FastPortException why);
  void onState(FastPortState state);
}

// How long a connection must have held for the backoff to start anew, in ms.
const _stable = 10000;
// How long a login that was given up may still be dealt with by a server that is busy, in ms.
const _lateLogin = 60000;

/// Keeps one connection up, at the first of the servers that takes it, until it is ended or for a reason that trying again
/// cannot mend.
class Link {
  Link(this._duties)
      : _backoff = Backoff(_duties.settings.backoffMin, _duties.settings.backoffMax),
        _at = Random().nextInt(_duties.settings.urls.length);

  final Duties _duties;
  final Backoff _backoff;
  int _at;

  /// The one that is up.
  Connection? current;

  /// The one before, while it is still up.
  Connection? retiring;

  /// Completes once the link has ended and its connections are closed.
  final Completer<void> gone = Completer();

  /// Why the link has ended, or null.
  FastPortException? error;

  /// A pause between tries.
  Completer<bool>? _pausing;

  /// When logins that were not answered were given up: each may yet take over the connection that was made in its stead, once.
  List<int> _unanswered = [];

  /// Completes when the one before has been closed.
  Future<void> _retired = Future.value();

  /// Connects, and completes once a server has accepted the login.
  Future<void> start() async {
    try {
      final k = await _redial(again: _duties.settings.wait);
      _attach(k);
      unawaited(_run(k));
    } catch (err) {
      end(_typed(err));
      gone.once();
      throw error!;
    }
  }

  /// Ends the link. The first call's error counts.
  void end(FastPortException err) {
    if (error != null) return;
    error = err;
    final pausing = _pausing;
    if (pausing != null && !pausing.isCompleted) pausing.complete(false);
    current?.fail(err);
    retiring?.fail(err);
    _duties.onEnd(err);
    _duties.onState(FastPortState.closed);
  }

  FastPortException _typed(Object err) =>
      err is FastPortException ? err : FastPortException('disconnected', '$err', cause: err);

  Future<void> _run(Connection first) async {
    Connection? at = first;
    while (at != null) {
      final old = at;
      final next = await _watch(old);
      if (next != null) {
        _attach(next);
        _retired = _retire(old, next);
      }
      at = next ?? await _replace(old);
    }
    await _retired;
    gone.once();
  }

  /// Waits until k is down (null), or has been replaced while it was still up.
  Future<Connection?> _watch(Connection k) async {
    while (!k.isDown) {
      await Future.any([k.down.future, k.move.wait()]);
      if (k.isDown || error != null) break;
      final next = await _moveFrom(k);
      if (next != null) return next;
    }
    return null;
  }

  /// Makes a new connection for one that is down. Null: the link has ended.
  Future<Connection?> _replace(Connection k) async {
    if (current == k) current = null;
    _duties.onDetach();
    var err = k.error!;
    final closeCode = err.closeCode;
    if (closeCode == CloseCode.takenOver) {
      err = _tookOver() || k.moving // by a connection of our own whose login was then lost
          ? FastPortException('disconnected', 'connection lost to an earlier login of this client')
          : FastPortException('taken_over', 'a newer connection uses this clientId');
    }
    if (error != null || isFatal(err)) {
      end(err);
      return null;
    }
    _duties.fault(err);
    _duties.onState(FastPortState.disconnected);
    _skip();
    if (monotonic() - k.born > _stable) _backoff.reset();
    if (closeCode == CloseCode.draining && !await _pause(Backoff.jitter(1000))) return null; // many were told the same
    if (closeCode == CloseCode.rateLimited || closeCode == CloseCode.protocolError) {
      _backoff.failures = max(_backoff.failures, 3);
    }
    if (!await _pause(_backoff.next())) return null;
    try {
      final next = await _redial(again: true);
      _attach(next);
      return next;
    } catch (cause) {
      end(_typed(cause));
      return null;
    }
  }

  /// Those that a server may still deal with.
  List<int> _lateLogins() => [
        for (final at in _unanswered)
          if (monotonic() - at < _lateLogin) at,
      ];

  /// May the newer connection be a login of our own? Then that is told.
  bool _tookOver() {
    final late = _lateLogins();
    _unanswered = late.skip(1).toList();
    return late.isNotEmpty;
  }

  void _attach(Connection k) {
    final old = current;
    current = k;
    if (old != null) retiring = old;
    _duties.onAttach(k, old);
    k.start();
    _duties.onState(old == null ? FastPortState.connected : FastPortState.moved);
  }

  /// Dials until it succeeds or cannot; once only, unless [again].
  Future<Connection> _redial({required bool again}) async {
    while (true) {
      try {
        return await _dial(null);
      } catch (err) {
        if (error case final ended?) throw ended;
        if (!again || isFatal(err)) rethrow;
      }
      if (!await _pause(_backoff.next())) throw error!;
    }
  }

  /// Waits. False: the link ended first.
  Future<bool> _pause(Duration time) async {
    if (error != null) return false;
    final pausing = _pausing = Completer<bool>();
    final timer = Timer(time, () => pausing.complete(true));
    final whole = await pausing.future;
    timer.cancel();
    return whole;
  }

  /// Connects and logs in, at the server whose turn it is, or, where that fails and a retry may help, at the first of the others
  /// that takes it. [old] is the one whose place it is to take.
  Future<Connection> _dial(Connection? old) async {
    final urls = _duties.settings.urls;
    for (var tries = 1;; tries++) {
      try {
        return await _dialAt(urls[_at], old);
      } catch (err) {
        if (error != null || isFatal(err)) rethrow;
        _skip();
        if (tries >= urls.length) rethrow;
      }
    }
  }

  /// Gives the next server its turn.
  void _skip() => _at = (_at + 1) % _duties.settings.urls.length;

  Future<Connection> _dialAt(Uri url, Connection? old) async {
    final most = Duration(milliseconds: _duties.settings.connectTimeout);
    final late = FastPortException('no_answer', 'the server does not answer');
    final opening = Connection.open(_duties, url);
    if (!await within(opening, most)) {
      opening.then((k) => k.fail(late)).ignore();
      throw late;
    }
    final k = await opening;
    final wasMoving = old?.moving ?? false;
    try {
      if (old != null) {
        await _settleOn(old);
        old.moving = true;
      }
      final answer = k.logIn();
      if (!await within(answer, most)) throw late;
      await _duties.onLogin(k, await answer);
      if (error case final ended?) throw ended;
      return k;
    } catch (err) {
      // Refused: the server has not logged this one in.
      final refused = err is FastPortException && err.code != 'disconnected' && err.code != 'no_answer';
      if (!refused) _unanswered = [..._lateLogins(), monotonic()];
      // A login that could not be finished may have closed the old connection before.
      final tried = err is FastPortException && (err.code == 'unavailable' || err.code == 'internal');
      if (old != null && refused && !tried) old.moving = wasMoving;
      k.fail(_typed(err));
      rethrow;
    }
  }

  /// Makes a new connection in the place of k while that is up. Null: k goes on, or is down.
  Future<Connection?> _moveFrom(Connection k) async {
    await Future.any([_retired, k.down.future]); // two connections at a time are enough
    if (k.isDown) return null;
    _skip();
    try {
      return await _dial(k);
    } catch (_) {
      _duties.onRetired(null);
      k.paused = false;
      k.wake();
      // The new connection failed, the old one goes on.
      Timer(const Duration(milliseconds: 500) + Backoff.jitter(1000), k.move.notify);
      return null;
    }
  }

  /// Lets no more publishes out over k and waits for the answers to those that are, so that few have to be sent again over the
  /// next connection.
  Future<void> _settleOn(Connection k) async {
    k.paused = true;
    await within(Future.any([_duties.onSettle(), k.down.future]), answerTime);
    _duties.onSettled();
  }

  /// Closes the old connection once the new one has its subscriptions, so that no message falls between them.
  Future<void> _retire(Connection old, Connection next) async {
    await overlap(old, next, takenOver: _duties.settings.clientId.isNotEmpty);
    await old.shutdown();
    if (retiring == old) retiring = null;
    _duties.onRetired(next);
    next.wake();
  }
}
