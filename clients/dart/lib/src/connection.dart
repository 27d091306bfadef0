import 'dart:async';
import 'dart:convert';
import 'dart:math';
import 'dart:typed_data';

import 'package:web_socket_channel/web_socket_channel.dart';

import 'acks.dart';
import 'async.dart';
import 'clock.dart';
import 'crypto/bytes.dart';
import 'errors.dart';
import 'frames.dart';
import 'move.dart';
import 'options.dart';

/// What the server said at init.
final class Login {
  const Login({this.clientId = '', this.resumed = false, this.topics = const [], this.limits});

  final String clientId;
  final bool resumed;
  final List<String> topics;
  final Limits? limits;
}

/// What a connection hands on to and pulls from: the client.
abstract interface class Owner {
  Settings get settings;
  void onFrame(Connection k, ServerFrame f);
  void onChunk(Connection k, Chunk chunk);

  /// Sends a batch of what waits. True: there was something.
  Future<bool> fill(Connection k);
  void tick(Connection k);
  void fault(Object err);
}

/// One WebSocket. What comes is handed on to the client; what goes out is pulled from where it waits, so that nothing is sealed
/// before it can go.
///
/// A [WebSocketChannel] does not tell how much it holds. What lies in it is bounded all the same: publishes by the bytes that
/// are not acked (see Outbox), files by their windows, acks and requests by what they answer and belong to.
class Connection {
  Connection._(this._owner, this._channel);

  /// Connects. Nothing is handed on before [start].
  static Future<Connection> open(Owner owner, Uri url) async {
    final k = Connection._(owner, owner.settings.webSocket(url));
    try {
      await k._channel.ready;
    } catch (cause) {
      final err = FastPortException('disconnected', 'no connection to ${url.host}', cause: cause);
      k.fail(err);
      throw err;
    }
    k._channel.stream.listen(k._receive, onError: (Object _) {}, onDone: k._onClosed); // behind an error comes the end
    return k;
  }

  final Owner _owner;
  final WebSocketChannel _channel;

  Login login = const Login();

  /// When it was made, on the monotonic clock.
  final int born = monotonic();

  /// Gets what waits; false: another connection does.
  bool fed = false;

  /// Publishes wait.
  bool paused = false;

  /// One may have logged in that takes this one over.
  bool moving = false;

  /// The server asks for a new connection.
  final Notice move = Notice();

  /// What this connection has brought while the one before it was still up.
  final Holding held = Holding();

  /// Acks that go over this connection besides the current one.
  final Acks acks = Acks();

  /// Completes when the subscriptions are made again.
  final Completer<void> settled = Completer();

  /// Completes when the connection is down.
  final Completer<void> down = Completer();

  /// Why it is down.
  FastPortException? error;

  /// When something last came that was read back from the store, while [held] holds.
  int replayed = 0;

  bool _started = false;

  /// What came between the login and start.
  final List<Object> _early = [];
  final Completer<ServerFrame> _loggedIn = Completer();
  final Completer<void> _closed = Completer();
  int _heard = monotonic();
  int _pinged = -1; // what _heard was when a ping was sent
  int _pingedAt = 0;
  Timer? _ticker;
  bool _writing = false;
  bool _again = false;
  final List<Completer<void>> _flushers = [];
  bool _shutting = false;

  bool get isDown => error != null;

  /// Sends init, and returns the server's answer.
  Future<ServerFrame> logIn() async {
    final o = _owner.settings;
    send({
      'type': 'init',
      'sessionName': o.sessionName,
      'password': o.password,
      if (o.userId.isNotEmpty) 'userId': o.userId,
      if (o.clientId.isNotEmpty) 'clientId': o.clientId,
      'protocol': 2,
    });
    await Future.any([_loggedIn.future, down.future]);
    if (!_loggedIn.isCompleted) throw error!;
    final answer = await _loggedIn.future;
    if (!answer.success) throw answer.refusal();
    return answer;
  }

  /// Begins to hand on and to write.
  void start() {
    _started = true;
    final o = _owner.settings;
    final every = max(20, min(1000, min(o.pingInterval, o.retryInterval)));
    if (!isDown) _ticker = Timer.periodic(Duration(milliseconds: every), (_) => _tick());
    final early = List.of(_early);
    _early.clear();
    early.forEach(_hand);
    wake();
  }

  /// Ends the connection. The first call's reason counts.
  void fail(FastPortException err) {
    if (error != null) return;
    error = err;
    _ticker?.cancel();
    down.complete();
    _releaseFlushers();
    _channel.sink.close().ignore();
  }

  /// Sends a frame now.
  void send(ClientFrame frame) => _put(jsonEncode(frame));

  void sendBinary(Uint8List frame) => _put(frame);

  void _put(Object data) {
    if (isDown || _shutting) return;
    try {
      _channel.sink.add(data);
    } catch (cause) {
      fail(FastPortException('disconnected', 'the socket takes nothing', cause: cause));
    }
  }

  /// Has the connection look for what there is to send.
  void wake() {
    _again = true;
    if (!_writing && _started) unawaited(_write());
  }

  Future<void> _write() async {
    _writing = true;
    try {
      while (_again && !isDown) {
        _again = false;
        while (!isDown && await _owner.fill(this)) {
          await Future<void>.delayed(Duration.zero); // what comes has its turn, too
        }
      }
    } catch (cause) {
      fail(FastPortException('disconnected', 'the connection failed: ${reasonOf(cause)}', cause: cause));
    }
    _writing = false;
    if (_again && !isDown) {
      wake();
    } else {
      _releaseFlushers();
    }
  }

  void _releaseFlushers() {
    final waiting = List.of(_flushers);
    _flushers.clear();
    for (final flusher in waiting) {
      flusher.complete();
    }
  }

  /// Waits until all that waited is in the socket, at most so long.
  Future<void> flush(Duration most) async {
    if (isDown) return;
    final done = Completer<void>();
    _flushers.add(done);
    wake();
    await within(done.future, most);
  }

  /// Says goodbye and waits a moment for the answer.
  Future<void> shutdown([Duration most = const Duration(seconds: 1)]) async {
    if (isDown) return;
    _shutting = true;
    _channel.sink.close(1000).ignore();
    await within(_closed.future, most);
    fail(closedError());
  }

  void _onClosed() {
    _closed.once();
    if (_shutting) return fail(closedError());
    final said = _channel.closeCode;
    final code = said == 1005 || said == 1006 ? null : said;
    final how = code == null ? 'lost' : 'closed by the server: $code ${_channel.closeReason ?? ''}'.trimRight();
    fail(FastPortException('disconnected', 'connection $how', closeCode: code));
  }

  void _tick() {
    final o = _owner.settings;
    final now = monotonic();
    if (_pinged == _heard) {
      if (now - _pingedAt > o.pongTimeout) {
        fail(FastPortException('no_answer', 'no answer from the server'));
        return;
      }
    } else if (now - _heard > o.pingInterval) {
      _pinged = _heard;
      _pingedAt = now;
      send({'type': 'ping'});
    }
    _owner.tick(this);
    wake();
  }

  void _receive(Object? data) {
    if (isDown || data == null) return;
    _heard = monotonic();
    if (_started) {
      _hand(data);
    } else if (!_answersInit(data)) {
      _early.add(data);
    }
  }

  bool _answersInit(Object data) {
    final f = data is String ? ServerFrame.parse(data) : null;
    if (f == null || f.type != 'init_response' && f.type != 'error' || _loggedIn.isCompleted) return false;
    _loggedIn.complete(f);
    return true;
  }

  void _hand(Object data) {
    try {
      if (data is String) {
        final f = ServerFrame.parse(data);
        if (f != null) _owner.onFrame(this, f);
      } else if (data is List<int>) {
        final chunk = Chunk.parse(bytesOf(data));
        if (chunk != null) _owner.onChunk(this, chunk);
      }
    } catch (err) {
      _owner.fault(err);
    }
  }
}
