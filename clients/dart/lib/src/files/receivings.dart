import 'dart:async';

import '../async.dart';
import '../connection.dart';
import '../crypto/keyring.dart';
import '../errors.dart';
import '../frames.dart';
import 'incoming.dart';
import 'offer.dart';
import 'progress.dart';
import 'sinks.dart';

/// What the application does with a topic's files, whatever they become.
abstract interface class FileHandler {
  FutureOr<FileSink<Object?>?> save(FileOffer offer);
  FutureOr<void> take(FileOffer offer, Object? file);
  void Function(FileProgress progress)? get onProgress;
}

/// Where a file becomes a T.
final class FileHandlerOf<T> implements FileHandler {
  FileHandlerOf(this._save, this._handler, this.onProgress);

  final FileSave<T> _save;
  final FutureOr<void> Function(FileOffer offer, T file) _handler;

  @override
  final void Function(FileProgress progress)? onProgress;

  @override
  FutureOr<FileSink<Object?>?> save(FileOffer offer) => _save(offer);

  @override
  FutureOr<void> take(FileOffer offer, Object? file) => _handler(offer, file as T);
}

// How many files that are complete are remembered, to say so to a server that sends one again.
const _maxReceived = 256;

/// The files on their way in.
class Receivings {
  Receivings({
    required bool allowLegacy,
    required KeyRing Function() ring,
    required FileHandler? Function(String topic) handler,
    required bool Function(Connection k) isCurrent,
    required void Function(Object err) fault,
  })  : _allowLegacy = allowLegacy,
        _ring = ring,
        _handler = handler,
        _isCurrent = isCurrent,
        _fault = fault;

  final bool _allowLegacy;
  final KeyRing Function() _ring;
  final FileHandler? Function(String topic) _handler;
  final bool Function(Connection k) _isCurrent;
  final void Function(Object err) _fault;
  final Map<String, Incoming> _list = {};

  /// Complete files and their chunks, the oldest first.
  final Map<String, int> _received = {};
  final Set<Future<void>> _running = {};

  /// No more are taken.
  FastPortException? _error;

  /// Takes an init_file.
  void begin(Connection k, ServerFrame f) {
    final fileId = f.fileId ?? '', topic = f.topic ?? '';
    final known = _list[fileId];
    if (known != null) {
      // Its sender came back to a server that did not know it.
      final extra = known.restart(k, current: _isCurrent(k));
      if (extra != null) _leave(extra, fileId, topic);
      return;
    }
    final total = _received[fileId];
    if (total != null) return k.send({'type': 'file_resume', 'fileId': fileId, 'next': total});
    final handler = _handler(topic);
    if (handler == null || _error != null) return _leave(k, fileId, topic); // not to hold up the sender and the others
    if (_list.length >= Wire.maxOpenFiles) {
      _leave(k, fileId, topic);
      return _tell(FastPortException('quota_exceeded', 'file: too many at once'), fileId, topic, '');
    }
    final t = _list[fileId] = Incoming(f, k);
    late final Future<void> running;
    running = _run(t, handler).whenComplete(() => _running.remove(running));
    _running.add(running);
  }

  Future<void> _run(Incoming t, FileHandler handler) async {
    final Object? file;
    try {
      file = await t.run(_ring(), allowLegacy: _allowLegacy, save: handler.save, onProgress: handler.onProgress);
    } catch (err) {
      _remove(t, err);
      _tell(err, t.offer.fileId, t.offer.topic, t.offer.fileName);
      return;
    }
    _remove(t, null);
    try {
      await handler.take(t.offer, file);
    } catch (err) {
      final failed = FastPortException('handler_failed', 'the handler failed: ${reasonOf(err)}', cause: err);
      _tell(failed, t.offer.fileId, t.offer.topic, t.offer.fileName);
    }
  }

  /// Forgets a file that has ended, and tells the server.
  void _remove(Incoming t, Object? err) {
    final fileId = t.offer.fileId;
    _list.remove(fileId);
    if (err == null) {
      _received[fileId] = t.total;
      if (_received.length > _maxReceived) _received.remove(_received.keys.first);
    }
    if (t.conn.isDown) return;
    if (err == null || t.offer.legacy && t.allTaken) {
      t.conn.send({'type': 'file_ack', 'fileId': fileId, 'next': t.total});
    } else if (!t.gone) {
      _leave(t.conn, fileId, t.offer.topic);
    }
  }

  void _tell(Object err, String fileId, String topic, String fileName) {
    if (isCode(err, 'declined')) return;
    final code = err is FastPortException ? err.code : 'handler_failed'; // `save` or the sink threw
    _fault(FastPortException(code, 'file $fileId on $topic: ${reasonOf(err)}',
        fileId: fileId, topic: topic, fileName: fileName, cause: err));
  }

  void chunk(Connection k, Chunk chunk) => _list[chunk.fileId]?.chunk(k, chunk.index, chunk.payload);

  /// Takes an end_file.
  void finish(Connection k, ServerFrame f) => _list[f.fileId]?.end(k, f.hash ?? '');

  /// Takes a cancel_file or a file_error.
  void refused(Connection k, ServerFrame f) => _list[f.fileId]?.refused(k, f);

  /// Takes the files whose connection is down to the one that is up.
  void move(Connection? k) {
    for (final t in _list.values) {
      t.move(k);
    }
  }

  void pull(Connection k) {
    for (final t in _list.values) {
      t.pull(k);
    }
  }

  void abortTopic(String topic) {
    for (final t in _list.values) {
      if (t.offer.topic == topic) t.fail(FastPortException('closed', 'the topic was unsubscribed'));
    }
  }

  /// Gives every file up, and waits at most so long until nothing of them is left.
  Future<void> abortAll(FastPortException err, Duration most) async {
    _error ??= err;
    for (final t in _list.values) {
      t.fail(err);
    }
    if (most > Duration.zero && _running.isNotEmpty) await within(Future.wait(_running.toList()), most);
  }
}

/// Takes this receiver out of a file.
void _leave(Connection k, String fileId, String topic) =>
    k.send({'type': 'cancel_file', 'fileId': fileId, 'topic': topic});
