import 'dart:async';
import 'dart:math';
import 'dart:typed_data';

import '../async.dart';
import '../clock.dart';
import '../connection.dart';
import '../errors.dart';
import '../frames.dart';
import 'chunks.dart';
import 'progress.dart';

// How many chunks of one file go out before something else may.
const _batch = 4;
// How long a file may stand still while its connection is up, in ms. The server gives up its receivers earlier.
const _stall = 2 * Wire.receiverStall;
// Between two init_file of one that comes back, in ms.
const _again = 500;

/// One file on its way out: a window of sealed chunks between its source and the connection.
class Sending {
  /// [begun]: an earlier process has sent some of it.
  Sending(this.id, this._topic, this._init, this._chunks, this._name, this._size, {required bool begun}) {
    if (_chunks.total == 0) _hash = _chunks.end();
    if (!begun) return;
    _resumed = true;
    _high = _chunks.total;
    _away = monotonic();
  }

  final String id;
  final String _topic;
  final ClientFrame _init;
  final Chunks _chunks;
  final String _name;
  final int _size;

  /// The window or the state has changed.
  final Notice _changed = Notice();

  Connection? _conn; // the one that it is on; null: none yet
  bool _asked = false; // init_file has gone out on it
  bool _begun = false; // and was answered: chunks may go
  bool _resumed = false; // it is not the first
  int _notBefore = 0; // for init_file to be sent again
  int _away = 0; // since when it has no connection; 0: it has
  int _moved = monotonic(); // when _acked last grew, or the file got its connection
  final List<Uint8List?> _ring = List.filled(Wire.fileWindow, null);
  int _first = 0; // the ring holds nothing before it
  int _sealed = 0; // chunks sealed
  int _high = 0; // the most that were ever sealed
  int _cursor = 0; // the chunk to go out next
  int _acked = 0; // written by every receiver
  final _Keeping _kept = _Keeping();
  int _told = 0; // the last acked that the server sent
  int _turn = 0; // counts goings back beyond the ring
  int _receivers = 0;
  String? _hash; // end_file's
  bool _ended = false; // end_file is out
  bool _cancelled = false;
  bool _done = false;
  Object? _error;

  /// Seals chunk after chunk as the window allows, until the file is done or has failed.
  Future<void> produce(void Function(FileProgress progress)? onProgress) async {
    final timer = Timer.periodic(const Duration(seconds: 1), (_) => _check());
    var told = (-1, -1);
    try {
      while (true) {
        final done = min(_size, _acked * Wire.chunkSize);
        if (onProgress != null && told != (done, _receivers)) {
          told = (done, _receivers);
          onProgress(FileProgress(
            fileId: id,
            fileName: _name,
            size: _size,
            done: done,
            receivers: _receivers,
            sha256: _chunks.sha256,
          ));
        }
        if (_error case final err?) throw err;
        if (_done) return;
        if (_sealed < min(_chunks.total, _needed + Wire.fileWindow)) {
          await _sealNext();
        } else {
          await _changed.wait();
        }
      }
    } finally {
      timer.cancel();
    }
  }

  /// The first chunk that may still be asked for.
  int get _needed => _chunks.seekable ? _acked : _kept.least(_acked);

  Future<void> _sealNext() async {
    final index = _sealed, turn = _turn;
    final frame = await _chunks.frame(id, index);
    if (turn != _turn) return; // asked for before the file went back
    if (index == _chunks.total - 1) _hash = _chunks.end();
    _ring[index % Wire.fileWindow] = frame;
    _sealed++;
    _high = max(_high, _sealed);
    _conn?.wake();
  }

  /// Gives the file a connection if it has none that is up.
  void move(Connection? k) {
    final at = _conn;
    if (at != null && !at.isDown) return;
    if (at != null && _away == 0) _away = monotonic();
    if (k == null || k.isDown) return;
    _resumed = _resumed || _asked;
    _kept.begin(_receivers, _acked, true);
    _conn = k;
    _asked = _begun = _ended = false;
    _moved = monotonic();
    k.wake();
  }

  /// Sends what k is to send of it. True: there is more.
  bool pull(Connection k) {
    if (!identical(_conn, k) || _error != null) return false;
    if (!_asked && monotonic() >= _notBefore) {
      _asked = true;
      k.send(_init);
    }
    if (!_begun) return false;
    for (var n = 0; _cursor < _sealed; n++) {
      if (n == _batch) return true;
      k.sendBinary(_ring[_cursor % Wire.fileWindow]!);
      _cursor++;
    }
    if (_cursor == _chunks.total && !_ended) {
      _ended = true;
      k.send({'type': 'end_file', 'fileId': id, 'topic': _topic, if (_hash != null) 'hash': _hash});
    }
    return false;
  }

  /// Takes a file_progress.
  void progress(Connection k, ServerFrame f) {
    if (!identical(_conn, k) || !_asked) return; // an old connection's
    final receivers = f.receivers ?? 0, told = f.acked ?? 0, back = told < _told;
    _kept.count(receivers, back);
    if (receivers < _receivers && !back) _kept.begin(_receivers, _acked, false); // until the next word shows which it is
    _receivers = receivers;
    final acked = min(told, _high); // nobody has what was never sent
    if (f.done) {
      _acked = _chunks.total;
      _done = true;
    } else if (!_begun && _resumed && !_reaches(acked)) {
      // A server that has lost the file itself learns from the receivers, as they come back, how far they are.
    } else if (!_begun || back) {
      // Answered to init_file, this is where to go on; less than before, where to go back to.
      _begun = true;
      _away = 0;
      _goTo(acked);
    } else if (acked > _sealed) {
      _goTo(acked);
    } else if (acked > _acked) {
      _acked = acked;
      _cursor = max(_cursor, acked);
      _moved = monotonic();
    }
    _told = told;
    _changed.notify();
    k.wake();
  }

  /// Can a chunk go out next without being sealed again?
  bool _held(int index) => index <= _sealed && index >= max(_first, _sealed - Wire.fileWindow);

  bool _reaches(int index) => _chunks.seekable || _held(index);

  /// Makes index the chunk to go out next.
  void _goTo(int index) {
    if (!_reaches(index)) return fail(goneBack());
    final held = _held(index);
    _acked = _cursor = index;
    _ended = false;
    _moved = monotonic();
    if (!held) {
      _turn++;
      _first = _sealed = index;
    }
  }

  /// Takes the server's refusal. Coming back, the file may be found in use for a moment, its old connection not being known to be
  /// gone, or without its receivers, who are coming back too.
  void refused(Connection k, ServerFrame f) {
    if (!identical(_conn, k) || _error != null) return;
    final err = f.refusal();
    final passing = const {'conflict', 'no_receivers', 'unavailable', 'quota_exceeded'}.contains(err.code);
    if (passing && _resumed && !_begun && monotonic() - _away < Wire.senderAway) {
      _asked = false;
      _notBefore = monotonic() + _again;
      return;
    }
    fail(err);
  }

  void fail(Object err) {
    _error ??= err;
    _changed.notify();
  }

  /// Tells the receivers that the rest will never come, once.
  void cancel() {
    if (_cancelled) return;
    _cancelled = true;
    final k = _conn;
    if (_asked && k != null && !k.isDown) k.send({'type': 'cancel_file', 'fileId': id, 'topic': _topic});
  }

  /// Keeps the timeouts, and wakes what waits for a moment.
  void _check() {
    final now = monotonic();
    final owing = !_begun || _cursor > _acked || _ended;
    if (_away > 0 ? now - _away > Wire.senderAway : owing && now - _moved > _stall) {
      fail(FastPortException('stalled', 'file: it makes no progress', fileId: id));
    } else if (!_asked) {
      _conn?.wake();
    }
  }
}

/// What a file that can't be read again holds in its ring for receivers who may be yet to come back. A server that has lost the
/// file itself learns of its receivers one by one, and the last to come may be the furthest behind.
class _Keeping {
  int _receivers = 0; // how many there were, until as many are back; 0: nothing is kept
  int _from = 0;
  int _until = 0; // a server waits no longer for one that is away
  bool _sure = false; // the server has lost the file; else they may have left it

  /// Keeps what is beyond [from] for so many receivers, unless something is kept already.
  void begin(int receivers, int from, bool sure) {
    if (_receivers == 0) {
      _receivers = receivers;
      _from = from;
    }
    _sure = _sure || sure;
    _until = monotonic() + Wire.receiverStall;
  }

  /// Takes how many receivers there are now. [back]: in the same word the file goes back.
  void count(int receivers, bool back) {
    final all = receivers >= _receivers || monotonic() > _until;
    if (!all && back) {
      _sure = true;
    } else if (all || !_sure) {
      _receivers = 0; // those who are gone have left it
      _sure = false;
    }
  }

  /// The first chunk that may be asked for, of a file that is at [acked].
  int least(int acked) => _receivers > 0 && monotonic() < _until ? min(_from, acked) : acked;
}
