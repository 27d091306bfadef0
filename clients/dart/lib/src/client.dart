import 'dart:async';
import 'dart:convert';
import 'dart:typed_data';

import 'package:web_socket_channel/web_socket_channel.dart';

import 'async.dart';
import 'core.dart';
import 'crypto/bytes.dart';
import 'crypto/device.dart';
import 'crypto/file.dart';
import 'errors.dart';
import 'files/chunks.dart';
import 'files/local.dart';
import 'files/offer.dart';
import 'files/progress.dart';
import 'files/receivings.dart';
import 'files/sending.dart';
import 'files/sinks.dart';
import 'files/source.dart';
import 'frames.dart';
import 'message.dart';
import 'message_stream.dart';
import 'options.dart';
import 'outbox.dart';
import 'state.dart';
import 'subscriptions.dart';

/// One device on a fastPort server: it publishes, subscribes, sends and receives files, end to end encrypted, over one
/// connection that mends itself.
///
/// [init] logs in. From then on the client keeps one connection up until [close]: it connects again with a jittered backoff,
/// subscribes again, sends again what was not acked, and goes on with half-sent files. Nothing is sealed before it is sent, so what
/// waits offline goes out with a fresh timestamp. Queues are bounded; a message is acked once its handler is done with it, and
/// handed over once however often it comes.
class FastPort {
  /// The first four are needed; the rest has defaults. Times are in milliseconds. What is wrong is thrown, code `bad_option`
  /// or `weak_key`.
  ///
  /// [serverUrl]: `ws://host:port` or `wss://host`. A list of them names nodes of one cluster where no balancer stands before
  /// them: one is picked at random; when it cannot be reached, is lost or asks its clients to leave, the next one has its turn.
  ///
  /// [aesKey]: the session's root key in base64; or a list, the newest first: it seals with that and opens with any.
  ///
  /// [clientId] makes this a durable subscriber: what it subscribes to is kept for it while it is away. One connection at a
  /// time may use it; a newer one ends this client with code `taken_over`. [userId] alone makes this one of a user's
  /// connections, which share one durable subscription.
  ///
  /// [suite]: what to seal with: 2, or 1 for a session with clients of the first version. [allowLegacy] takes messages and files of
  /// suite 1, which prove neither sender, topic nor time. They are acked when they come, before they are opened and whatever the
  /// handler does: an ack that told an opened message from a forgery would open messages to whoever sends forgeries.
  ///
  /// [onError] gets what no call returns: messages that do not open, handlers that fail, lost connections, files that fail. Without
  /// it they are printed. [onState] is told what becomes of the connection.
  ///
  /// [wait] makes [init] try, with backoff, until a server is there. Otherwise its first failure is its result.
  ///
  /// [retryInterval]: how long a message may stay unacked before it is sent again; [maxRetries]: how often, then [emit] fails with
  /// `no_answer`. Time without a connection does not count.
  ///
  /// [backoffMin], [backoffMax] bound the pause before a new try to connect, of which a random part is waited. [connectTimeout]: to
  /// connect to one server, and again to log in. [pingInterval]: how long nothing may come before a ping is sent; [pongTimeout] after
  /// it the connection is given up.
  ///
  /// [queueSize], [queueBytes]: what may be published and not acked. [dedupeSize]: of how many messages, the last ones, it is
  /// known that they were handed over.
  ///
  /// [webSocket] makes the socket, where that needs settings of its own, such as a private CA.
  FastPort({
    required Object serverUrl,
    required String sessionName,
    required String password,
    required Object aesKey,
    String? clientId,
    String? userId,
    int suite = 2,
    bool allowLegacy = false,
    bool wait = false,
    void Function(Object err)? onError,
    void Function(FastPortState state)? onState,
    int retryInterval = 5000,
    int maxRetries = 100,
    int backoffMin = 250,
    int backoffMax = 30000,
    int connectTimeout = 10000,
    int pingInterval = 25000,
    int pongTimeout = 10000,
    int queueSize = 1024,
    int queueBytes = 32 << 20,
    int dedupeSize = 65536,
    WebSocketChannel Function(Uri url)? webSocket,
  }) : _core = Core(Settings(
          serverUrl: serverUrl,
          sessionName: sessionName,
          password: password,
          aesKey: aesKey,
          clientId: clientId ?? '',
          userId: userId ?? '',
          suite: suite,
          allowLegacy: allowLegacy,
          wait: wait,
          onError: onError ?? _print,
          onState: onState ?? _ignore,
          retryInterval: retryInterval,
          maxRetries: maxRetries,
          backoffMin: backoffMin,
          backoffMax: backoffMax,
          connectTimeout: connectTimeout,
          pingInterval: pingInterval,
          pongTimeout: pongTimeout,
          queueSize: queueSize,
          queueBytes: queueBytes,
          dedupeSize: dedupeSize,
          webSocket: webSocket ?? WebSocketChannel.connect,
        ));

  final Core _core;
  Future<void>? _init;
  Future<void>? _closing;

  /// Logs in, and completes once the server has accepted. A wrong password or an unknown session (`unauthorized`), or a wrong
  /// key (`key_mismatch`), fails at once and ends the client.
  Future<void> init() async {
    _throwIfClosed();
    await (_init ??= _core.start());
  }

  /// Subscribes, and completes once the server has confirmed: from then on every message that is acked to its publisher
  /// reaches the handler, one at a time, in order. A message is acked once the handler has returned, and its future has completed;
  /// where it throws, the message comes again. The subscription is made again with each new connection, until [unsubscribe]
  /// or [close]. Without a connection it waits, until [cancel] completes.
  ///
  /// A failure goes to `onError` too, so that a call need not be awaited.
  Future<void> get(
    String topic,
    FutureOr<void> Function(String message, int timestamp) handler, {
    Future<void>? cancel,
  }) =>
      getMessages(topic, (m) => handler(m.text, m.timestamp), cancel: cancel);

  /// As [get], with all that is known of a message, its bytes too.
  Future<void> getMessages(String topic, FutureOr<void> Function(Message message) handler, {Future<void>? cancel}) =>
      _told(_subscribe(topic, Use.messages(handler), cancel));

  /// The messages of a topic, for an `await for` loop. A message is acked when the loop asks for the next one; leaving the loop
  /// acks the last one and unsubscribes.
  Stream<Message> messages(String topic) => messageStream(
        subscribe: (handler) => _subscribe(topic, Use.messages(handler), null),
        unsubscribe: () async {
          if (error == null && _closing == null) await unsubscribe(topic);
        },
        ended: _core.ended.future,
      );

  Future<void> _subscribe(String topic, Use use, Future<void>? cancel) async {
    _throwIfClosed();
    checkTopic(topic);
    if (!_core.subs.claim(topic, use)) {
      throw FastPortException('subscribed', '$topic has a handler already', topic: topic);
    }
    try {
      await _core.requests.topic('subscribe', topic, cancel: cancel);
    } catch (err) {
      final last = _core.subs.release(topic, use);
      if (last && isCode(err, 'cancelled')) {
        _core.requests.topic('unsubscribe', topic).ignore(); // the server may have it
      }
      rethrow;
    }
  }

  /// Has a failure go to `onError` as well.
  Future<void> _told(Future<void> done) {
    unawaited(done.then((_) {}, onError: (Object err) => _core.fault(err)));
    return done;
  }

  /// Ends the topic's subscription, files included, and completes once the server has confirmed; no call of the handler begins
  /// after this call. A durable subscriber's messages on the topic are gone.
  Future<void> unsubscribe(String topic) async {
    _throwIfClosed();
    _core.subs.remove(topic);
    _core.receiving.abortTopic(topic);
    await _core.requests.topic('unsubscribe', topic);
  }

  /// Seals [data], a String or bytes, and completes once the server has acked it: from then on it reaches every durable subscriber of the
  /// topic. It is sent again as long as that takes, over new connections too, under the same id. Calls that are not awaited go
  /// out in their order. Bytes must not be changed before it completes.
  ///
  /// [messageId], at most 64 bytes: published again with the same id within 15 minutes, by this or a later process, the message
  /// is delivered to nobody anew. By itself it is a random UUID. [qos] 0: for whoever is there now, never stored, never sent
  /// again by anyone.
  ///
  /// It fails with `queue_full` where too much is not acked yet, with `no_answer` after `maxRetries`, and with `cancelled` where
  /// [cancel] completes; the message may or may not have been delivered then. What the server refuses for good has the server's code.
  Future<Receipt> emit(String topic, Object data, {String? messageId, int qos = 1, Future<void>? cancel}) async {
    _throwIfClosed();
    checkTopic(topic);
    final id = messageId ?? newUuid();
    checkText('messageId', id, 64);
    if (qos != 0 && qos != 1) throw FastPortException('bad_request', 'qos: takes 0 or 1');
    final payload = switch (data) {
      final String text => utf8.encode(text),
      final List<int> bytes => bytesOf(bytes),
      _ => throw FastPortException('bad_request', 'data: takes a String or bytes; an object goes as jsonEncode(object)'),
    };
    final limit = _core.login.limits?.maxPayload ?? Wire.maxPayload;
    if (4 * ((payload.length + 64 + 2) ~/ 3) + 1024 > limit) {
      throw FastPortException('too_large', 'data: sealed, it is larger than the server takes; send it as a file', topic: topic);
    }
    final p = _core.outbox.add(topic, id, payload, qos);
    return cancellable(p.done.future, cancel, () => _core.outbox.abandon(p));
  }

  /// Sends a file to those who are subscribed to the topic now, and completes with its fileId once all that stayed have it. It
  /// holds a window of it (4 MiB) in memory, goes back where a receiver lost some, and goes on after a lost connection that is
  /// mended within 60 s. Without receivers it fails with `no_receivers`.
  ///
  /// [source]: the path of a file (a String; not on the web), bytes, or a [FileSource] for all else. [name] is needed where the
  /// source has none. What can be read anywhere is read twice: once for the hash that travels sealed with the name.
  ///
  /// [type]: its media type, sealed with the name. [fileId]: a UUID that was never used before, else a random one. [cancel] cancels
  /// the transfer at its receivers.
  ///
  /// [sha256], with the [fileId] of a file that an earlier process had begun to send on this topic: it goes on, where its receivers stand, if this
  /// is the hash of its content (in hex, as progress told it); any other content is `source_changed`. The client must have the clientId that it
  /// had. After a minute the receivers have given up, and it begins anew.
  Future<String> sendFile(
    Object source,
    String topic, {
    String? name,
    String type = '',
    String? fileId,
    String? sha256,
    void Function(FileProgress progress)? onProgress,
    Future<void>? cancel,
  }) async {
    _throwIfClosed();
    checkTopic(topic);
    final id = fileId ?? newUuid();
    if (!isUuid(id)) throw FastPortException('bad_request', 'fileId: takes a UUID in its 36 characters');
    final ring = _core.ring;
    final suite = _core.settings.suite;
    final from = await openSource(source, name);
    Sending? t;
    var given = false;
    void give() {
      given = true;
      t?.fail(cancelled());
    }

    if (cancel != null) unawaited(cancel.then((_) => give(), onError: (Object _) => give()));
    try {
      final chunks = Chunks(from, await FileCipher.of(ring, id, suite));
      if (from.seekable && suite == 2) await chunks.digest(stopped: () => given);
      if (sha256 != null && sha256 != chunks.sha256) throw changed();
      final ClientFrame init = {
        'type': 'init_file',
        'fileId': id,
        'topic': topic,
        'fileSize': from.size,
        'totalChunks': chunks.total,
        if (suite == 1) 'fileName': from.name else 'meta': await chunks.meta(type),
      };
      if (given) throw cancelled();
      _throwIfClosed();
      t = Sending(id, topic, init, chunks, from.name, from.size, begun: sha256 != null);
      await _core.sending.run(t, _core.link.current, onProgress);
      return id;
    } finally {
      await from.close();
    }
  }

  /// Subscribes to the topic's files, as [get] does to its messages; a topic may have both. A file is handed over once it is whole
  /// and right, in memory: what is larger than [limit] (32 MiB) is not taken, and `onError` gets `too_large`; [receiveFiles] takes
  /// files of any size. A file goes on after a lost connection, and is given up when nothing has come for 90 s; what fails goes
  /// to `onError`. [handler] gets the name as its sender chose it: any text, to be trusted as a file name by nobody.
  Future<void> onFile(
    String topic,
    FutureOr<void> Function(String fileName, Uint8List fileData) handler, {
    int limit = memoryLimit,
    void Function(FileProgress progress)? onProgress,
    Future<void>? cancel,
  }) =>
      receiveFiles<Uint8List>(
        topic,
        save: toMemory(limit: limit),
        handler: (offer, data) => handler(offer.fileName, data),
        onProgress: onProgress,
        cancel: cancel,
      );

  /// As [onFile], with the files going where [save] says: `toDirectory(path)`, or a function of your own, which takes the offer
  /// and returns a [FileSink], or null to decline. [handler] gets what the sink's `close` returned.
  Future<void> receiveFiles<T>(
    String topic, {
    required FileSave<T> save,
    required FutureOr<void> Function(FileOffer offer, T file) handler,
    void Function(FileProgress progress)? onProgress,
    Future<void>? cancel,
  }) =>
      _told(_subscribe(topic, Use.files(FileHandlerOf<T>(save, handler, onProgress)), cancel));

  /// Registers a push token for a user, sealed. It makes the client's subscriptions that user's, where the client has neither a
  /// clientId nor a userId. [platform] is this device's by itself.
  Future<void> registerFCMToken({
    required String userId,
    required String fcmToken,
    required String deviceId,
    String? platform,
  }) =>
      _device('register_fcm_token', 'fcm_token_response', userId, fcmToken, deviceId, platform);

  /// Forgets a device of a user.
  Future<void> unregisterFCMToken({required String userId, required String deviceId}) =>
      _device('unregister_fcm_token', 'fcm_unregister_response', userId, '', deviceId, null);

  Future<void> _device(
      String type, String want, String userId, String fcmToken, String deviceId, String? platform) async {
    _throwIfClosed();
    checkText('userId', userId, 128);
    checkText('deviceId', deviceId, 128);
    final sealed = await sealDevice(_core.ring, userId,
        fcmToken: fcmToken, deviceId: deviceId, platform: platform ?? platformName);
    await _core.requests.ask(
      {'type': type, 'userId': userId, 'encryptedData': sealed, 'hash': hashOf(sealed)},
      want: want,
      about: userId,
    );
  }

  /// Lists a user's registered devices.
  Future<List<RegisteredDevice>> getRegisteredDevices(String userId) async {
    _throwIfClosed();
    checkText('userId', userId, 128);
    final answer = await _core.requests.ask(
      {'type': 'get_registered_devices', 'userId': userId},
      want: 'registered_devices_response',
      about: userId,
    );
    return answer.devices;
  }

  /// Waits until what was published is acked (unless the connection is down) and the handlers at work are done, sends the acks
  /// that are due, and disconnects; files under way are cancelled. It takes no longer than [timeout]; what is not acked by then
  /// fails with `closed`.
  Future<void> close({Duration timeout = const Duration(seconds: 5)}) => _closing ??= _core.close(timeout);

  /// Is the connection up?
  bool get connected => _core.link.current != null;

  /// Why the client ended; null while it has not.
  FastPortException? get error => _core.link.error;

  /// The id that the server knows this client by; empty where there is none.
  String get clientId => _core.login.clientId;

  /// What the session allows, as of the last login; null before the first.
  Limits? get limits => _core.login.limits;

  /// The server's clock as this client knows it, in ms.
  int now() => _core.clock.now();

  void _throwIfClosed() {
    if (error case final err?) throw err;
    if (_closing != null) throw closedError();
  }
}

// ignore: avoid_print
void _print(Object err) => print('fastPort: ${reasonOf(err)}');

void _ignore(FastPortState state) {}
