import 'dart:async';
import 'dart:collection';
import 'dart:typed_data';

import '../async.dart';
import '../clock.dart';
import '../connection.dart';
import '../crypto/bytes.dart';
import '../crypto/file.dart';
import '../crypto/keyring.dart';
import '../errors.dart';
import '../frames.dart';
import 'offer.dart';
import 'progress.dart';
import 'sinks.dart';

// How often a file_ack goes out: often enough that a sender's window never runs dry.
const _ackEvery = Wire.fileAckEvery ~/ 2;
// How long nothing may come of a file, in ms: its sender may be away, and a receiver stand still.
const _giveUp = Wire.senderAway + Wire.receiverStall;
// Between two file_resume, in ms.
const _again = 500;

/// One file on its way in: a window of sealed chunks between the connection, and what opens and writes them.
class Incoming {
  /// Takes a file from its init_file on: its chunks may come before that is opened.
  Incoming(this._init, this._conn)
      : offer = FileOffer(
          fileId: _init.fileId ?? '',
          topic: _init.topic ?? '',
          fileName: _init.fileName ?? '',
          size: _init.fileSize ?? -1,
          legacy: _init.meta == null,
        ),
        total = _init.totalChunks ?? 0;

  final ServerFrame _init;
  Connection _conn;

  /// Until it is opened, what the server says.
  FileOffer offer;

  /// Chunks.
  final int total;

  late final FileCipher _cipher;
  final Notice _wake = Notice();
  final Sha256Sum _sum = Sha256Sum();
  int _bytes = 0;
  FastPortException? _bad; // suite 1: a chunk did not open, see _open
  FileSink<Object?>? _sink;
  Object? _result; // what the sink's end gave

  final Queue<Uint8List> _queue = Queue(); // payloads of the chunks _taken to _expect
  int _expect = 0; // the next index to come
  int _taken = 0; // the next to be written
  int _acked = 0; // the last next that was sent
  bool _due = false; // a file_ack is to be sent
  bool _resume = false; // a file_resume is to be sent
  int _notBefore = 0; // for it
  bool _asked = false; // one was sent, and no chunk has come since
  bool _ended = false; // end_file has come
  String _hash = '';
  int _moved = monotonic();
  Object? _error;

  Connection get conn => _conn;

  /// Was it ended by the other side?
  bool get gone => _error != null && !isCode(_error, 'closed');

  /// Of suite 1 the end looks the same whether it opened or not.
  bool get allTaken => _taken == total;

  /// Takes the file to its end, and returns what its sink made of it. [save] says where it goes; null: nowhere.
  Future<Object?> run(
    KeyRing ring, {
    required bool allowLegacy,
    required FileSave<Object?> save,
    required void Function(FileProgress progress)? onProgress,
  }) async {
    final timer = Timer.periodic(const Duration(seconds: 1), (_) => _check());
    try {
      await _openOffer(ring, allowLegacy);
      final to = await save(offer);
      if (to == null) throw FastPortException('declined', 'file: not wanted here');
      _sink = to;
      while (true) {
        if (_error case final err?) throw err;
        if (_queue.isNotEmpty) {
          await _write(_taken, _queue.first);
          onProgress?.call(
              FileProgress(fileId: offer.fileId, fileName: offer.fileName, size: offer.size, done: _bytes));
        } else if (await _finished()) {
          return _result;
        } else {
          await _wake.wait();
        }
      }
    } catch (err) {
      final sink = _sink;
      _sink = null;
      try {
        await sink?.abort(err);
      } catch (_) {
        // the reason is the first error
      }
      rethrow;
    } finally {
      timer.cancel();
    }
  }

  /// Takes the init_file apart. What counts is what was sealed, not what the server says.
  Future<void> _openOffer(KeyRing ring, bool allowLegacy) async {
    final meta = _init.meta;
    if (meta == null) {
      if (!allowLegacy) throw FastPortException('legacy_refused', 'sealed with suite 1, which is not allowed here');
      _cipher = FileCipher.suite1(ring);
    } else {
      final opened = await FileCipher.open(ring, offer.fileId, meta);
      _cipher = opened.cipher;
      offer = FileOffer(
        fileId: offer.fileId,
        topic: offer.topic,
        fileName: opened.meta.name,
        size: opened.meta.size,
        type: opened.meta.type,
        sha256: opened.meta.sha256,
        legacy: false,
      );
    }
    final size = offer.size;
    if (size < 0 || (size + Wire.chunkSize - 1) ~/ Wire.chunkSize != total) throw _corrupt();
  }

  /// Opens a chunk, writes it, and lets it be acked.
  Future<void> _write(int index, Uint8List payload) async {
    await _open(index, payload);
    // Whole and right can be told now: what is acked as the end is then safely there.
    if (index == total - 1 && offer.sha256.isNotEmpty) await _commit(offer.sha256);
    _queue.removeFirst();
    _taken = index + 1;
    _moved = monotonic();
    if (_taken - _acked >= _ackEvery || allTaken) {
      _due = true;
      _conn.wake();
    }
  }

  /// Writes a chunk's plaintext. A chunk of suite 1 that does not open is acked like any other, and the file fails at its end:
  /// an answer that told one failure from another would open chunks to whoever sends forgeries.
  Future<void> _open(int index, Uint8List payload) async {
    if (_bad != null) return;
    final last = index == total - 1;
    final size = last ? offer.size - index * Wire.chunkSize : Wire.chunkSize;
    final Uint8List plaintext;
    try {
      plaintext = await _cipher.unseal(index, payload, last: last);
      if (plaintext.length != size) throw _corrupt();
    } catch (_) {
      if (!offer.legacy) rethrow;
      _bad = _corrupt();
      return;
    }
    _sum.update(plaintext);
    _bytes += size;
    await _sink?.write(plaintext);
  }

  /// Ends the sink, if the content has the hash that is known of it.
  Future<void> _commit(String want) async {
    if (_bad case final bad?) throw bad;
    if (_bytes != offer.size || want.isNotEmpty && want != _sum.finish()) throw _corrupt();
    _result = await _sink!.close();
    _sink = null;
  }

  /// Ends the file once all is written: at its last chunk where its hash is known, else at end_file.
  Future<bool> _finished() async {
    if (!allTaken) return false;
    if (_sink == null) return true; // committed
    if (!_ended) return false;
    await _commit(offer.sha256.isNotEmpty ? offer.sha256 : _hash);
    return true;
  }

  /// Takes a chunk, if it is the next: a server that sends again sends some twice.
  void chunk(Connection k, int index, Uint8List payload) {
    if (!identical(_conn, k) || _resume || index != _expect || _error != null || index >= total) return;
    if (_queue.length >= Wire.fileWindow) {
      return fail(FastPortException('stalled', 'file: the server sends beyond the window'));
    }
    _queue.add(payload);
    _expect++;
    _asked = false;
    _moved = monotonic();
    _wake.notify();
  }

  /// Takes an end_file.
  void end(Connection k, String hash) {
    if (!identical(_conn, k) || _resume || _expect < total) return;
    _ended = true;
    _hash = hash;
    _moved = monotonic();
    _wake.notify();
  }

  /// Gives the file a connection if it has none that is up.
  void move(Connection? k) {
    if (k != null && _conn.isDown) _restartOn(k);
  }

  /// Puts the file on k. Where it is on another connection that is up, since the client is moving, the newer one ([current] says whether
  /// that is k) keeps it, and the other, which would be a receiver that never comes back, is to leave: it is returned.
  Connection? restart(Connection k, {required bool current}) {
    final other = !identical(_conn, k) && !_conn.isDown ? _conn : null;
    if (other != null && !current) return k;
    _restartOn(k);
    return other;
  }

  /// Goes on from what is written, or just being written.
  void _restartOn(Connection k) {
    while (_queue.length > 1) {
      _queue.removeLast();
    }
    _expect = _taken + _queue.length;
    _conn = k;
    _resume = true;
    _due = false;
    k.wake();
  }

  /// Sends what k is to say about the file.
  void pull(Connection k) {
    if (!identical(_conn, k) || _error != null) return;
    if (_resume && monotonic() >= _notBefore) {
      // What comes behind this is what was asked for, what came before it is dropped.
      _resume = false;
      _asked = true;
      _acked = _expect;
      k.send({'type': 'file_resume', 'fileId': offer.fileId, 'next': _expect});
    }
    if (_due && !_resume) {
      _due = false;
      _acked = _taken;
      k.send({'type': 'file_ack', 'fileId': offer.fileId, 'next': _taken});
    }
  }

  /// Takes the end that the server declares. To a file_resume it may say that it knows no such file only because the old connection
  /// is not known to be gone, or the sender is yet to come back: then it is asked again.
  void refused(Connection k, ServerFrame f) {
    if (!identical(_conn, k)) return;
    final cancelled = f.type == 'cancel_file';
    if (!cancelled && f.code == 'not_found' && _asked) {
      _resume = true;
      _notBefore = monotonic() + _again;
      return;
    }
    fail(cancelled ? FastPortException('not_found', 'the sender cancelled the file') : f.refusal());
  }

  void fail(Object err) {
    _error ??= err;
    _wake.notify();
  }

  /// Keeps the timeout, and wakes what waits for a moment.
  void _check() {
    if (monotonic() - _moved > _giveUp) fail(FastPortException('stalled', 'file: nothing comes any more'));
    if (_resume) _conn.wake();
  }
}

FastPortException _corrupt() => FastPortException('corrupt', 'file: it is not as it was sent');
