import 'dart:async';

import 'acks.dart';
import 'async.dart';
import 'clock.dart';
import 'connection.dart';
import 'crypto/bytes.dart';
import 'crypto/keyring.dart';
import 'crypto/legacy.dart';
import 'crypto/message.dart';
import 'errors.dart';
import 'files/receivings.dart';
import 'files/sendings.dart';
import 'frames.dart';
import 'link.dart';
import 'move.dart';
import 'options.dart';
import 'outbox.dart';
import 'requests.dart';
import 'state.dart';
import 'subscriptions.dart';

/// What a client is made of, and what goes from part to part: a link that keeps a connection up, and the messages,
/// subscriptions, requests and files that go over it.
class Core implements Duties {
  Core(this.settings);

  @override
  final Settings settings;

  final Clock clock = Clock();
  final Sendings sending = Sendings();
  late final Link link = Link(this);
  late final Outbox outbox = Outbox(settings, seal: _publishFrame, wake: _wake);
  late final Requests requests = Requests(wake: _wake, refusedAgain: (topic, err) => subs.refusedAgain(topic, err));
  late final Subscriptions subs = Subscriptions(
    settings,
    ring: () => ring,
    fault: fault,
    ack: _ack,
    own: _own.has,
    subscribeAgain: requests.again,
  );
  late final Receivings receiving = Receivings(
    ring: () => ring,
    fault: fault,
    allowLegacy: settings.allowLegacy,
    handler: subs.fileHandler,
    isCurrent: (k) => identical(link.current, k),
  );

  /// Of the last connection.
  Login login = const Login();

  /// Completes when the client has ended.
  final Completer<void> ended = Completer();

  KeyRing? _ring;
  Sealer? _sealer;
  final OwnIds _own = OwnIds();
  final Acks _acks = Acks();
  bool _started = false;

  /// The session's keys. Before [start] there are none.
  KeyRing get ring => _ring ?? (throw FastPortException('not_initialized', 'call init first'));

  void _wake() => link.current?.wake();

  /// Logs in.
  Future<void> start() async {
    _started = true;
    try {
      final ring = await KeyRing.load(settings.sessionName, settings.keys);
      _ring = ring;
      _sealer = Sealer(ring);
    } catch (err) {
      link.end(err is FastPortException ? err : FastPortException('unsupported', 'no cryptography here: $err', cause: err));
      link.gone.once();
      throw link.error!;
    }
    await link.start();
  }

  /// Waits until all is done that can be, says goodbye, and ends; all of it in about so long.
  Future<void> close(Duration timeout) async {
    final end = monotonic() + timeout.inMilliseconds;
    Duration left([int least = 0]) {
      final ms = end - monotonic();
      return Duration(milliseconds: ms > least ? ms : least);
    }

    final closed = closedError();
    final k = link.current;
    if (k != null) {
      await within(Future.any([outbox.empty(), k.down.future]), left());
      await subs.stop(left());
      sending.cancelAll(closed);
      await receiving.abortAll(closed, left());
      await k.flush(left());
      const goodbye = Duration(seconds: 1);
      final most = left();
      await link.current?.shutdown(most < goodbye ? most : goodbye);
    }
    link.end(closed);
    if (_started) await within(link.gone.future, left(100));
  }

  @override
  Future<void> onLogin(Connection k, ServerFrame answer) async {
    if (answer.protocol != 2) throw FastPortException('unsupported', 'the server speaks version 1 only');
    final check = answer.keyCheck;
    if (check != null && check.isNotEmpty && !await ring.holds(check)) {
      throw FastPortException('key_mismatch', "the key is not this session's");
    }
    clock.set(answer.serverTime);
    k.login = Login(
      clientId: answer.clientId ?? '',
      resumed: answer.resumed,
      topics: answer.topics,
      limits: answer.limits,
    );
  }

  @override
  void onAttach(Connection k, Connection? old) {
    login = k.login;
    if (old != null) {
      old.fed = false;
      if (settings.clientId.isEmpty) k.held.begin();
    }
    if (requests.restart(subs.loggedIn(k.login))) k.settled.once();
    outbox.restart();
    _moveFiles();
    k.fed = true;
  }

  @override
  void onDetach() {
    outbox.lost();
    _moveFiles();
  }

  @override
  Future<void> onSettle() {
    _own.begin();
    return outbox.quiet();
  }

  @override
  void onSettled() => outbox.keys.forEach(_own.add);

  @override
  void onRetired(Connection? next) {
    next?.held.letGo(subs.deliver);
    _own.end();
    // Files stay with their connection: an ephemeral client's are found again only once it is gone.
    _moveFiles();
  }

  @override
  void onEnd(FastPortException why) {
    outbox.fail(why);
    requests.fail(why);
    sending.cancelAll(why);
    unawaited(receiving.abortAll(why, Duration.zero));
    unawaited(subs.stop(Duration.zero));
    ended.once();
  }

  /// Takes the files whose connection is down to the one that is up.
  void _moveFiles() {
    sending.move(link.current);
    receiving.move(link.current);
  }

  @override
  Future<bool> fill(Connection k) async {
    var any = false;
    if (k.fed) {
      any = requests.pull(k);
      any = _acks.pull(k) || any;
      bool may() => k.fed && !k.paused && !k.isDown;
      if (may()) any = await outbox.pull(k, may: may, sending: _own.add) || any;
    }
    any = k.acks.pull(k) || any;
    receiving.pull(k);
    return sending.pull(k) || any;
  }

  @override
  void tick(Connection k) {
    if (identical(link.current, k)) outbox.tick();
  }

  /// Has a message acked, over the connection before too while it is up: its server waits for acks of its own.
  void _ack(String topic, String id) {
    _acks.add(topic, id);
    link.current?.wake();
    link.retiring?.acks.add(topic, id);
    link.retiring?.wake();
  }

  /// Seals a message for now. Its timestamp is fresh each time that it is sent, for the server refuses an old one.
  Future<ClientFrame> _publishFrame(Publication p) async {
    final timestamp = clock.now();
    final ClientFrame head = {
      'type': 'publish',
      'messageId': p.id,
      'topic': p.topic,
      'timestamp': timestamp,
      if (p.qos == 0) 'qos': 0,
      if (p.tries > 0) 'retry': true,
    };
    if (settings.suite == 1) {
      final data = await sealLegacy(ring, p.payload);
      return {...head, 'hash': hashOf(data), 'data': data};
    }
    return {...head, 'data': await _sealer!.seal(Header(p.topic, p.id, timestamp), p.payload)};
  }

  @override
  void onChunk(Connection k, Chunk chunk) => receiving.chunk(k, chunk);

  @override
  void onFrame(Connection k, ServerFrame f) {
    switch (f.type) {
      case 'message':
        _message(k, f);
      case 'ack_received':
        outbox.acked(f);
      case 'publish_response':
        if (!f.success) outbox.refused(f);
      case 'subscribe_response' ||
            'unsubscribe_response' ||
            'fcm_token_response' ||
            'fcm_unregister_response' ||
            'registered_devices_response':
        // What a connection before it answers is asked again.
        if (identical(link.current, k) && requests.answer(f)) k.settled.once();
      case 'pong':
        clock.set(f.serverTime);
      case 'init_file':
        receiving.begin(k, f);
      case 'end_file':
        receiving.finish(k, f);
      case 'cancel_file':
        receiving.refused(k, f);
      case 'file_progress':
        sending.progress(k, f);
      case 'file_error':
        _fileError(k, f);
      case 'reconnect':
        Timer(Duration(milliseconds: f.afterMs ?? 0), k.move.notify);
      case 'error':
        _refused(k, f);
    }
  }

  void _message(Connection k, ServerFrame f) {
    if (k.held.isOn) {
      if (f.replay) k.replayed = monotonic();
      if (!subs.knows(f)) {
        if (k.held.add(f)) return;
        k.held.letGo(subs.deliver);
      }
    }
    subs.deliver(f);
  }

  void _fileError(Connection k, ServerFrame f) {
    if (!sending.refused(k, f)) receiving.refused(k, f);
  }

  /// Takes an error frame: whatever it is about has failed.
  void _refused(Connection k, ServerFrame f) {
    if (f.fileId != null) {
      _fileError(k, f);
    } else if (f.messageId != null) {
      outbox.refused(f);
    } else if (f.topic == null || !requests.refused(f)) {
      fault(f.refusal());
    }
  }

  /// Tells the application what no call returns.
  @override
  void fault(Object err) {
    if (identical(err, link.error)) return;
    try {
      settings.onError(err);
    } catch (_) {
      // what a callback throws is nobody's to catch
    }
  }

  @override
  void onState(FastPortState state) {
    try {
      settings.onState(state);
    } catch (err) {
      fault(err);
    }
  }
}
