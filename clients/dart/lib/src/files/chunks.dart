import 'dart:typed_data';

import 'package:crypto/crypto.dart' as digests;

import '../async.dart';
import '../crypto/bytes.dart';
import '../crypto/file.dart';
import '../errors.dart';
import '../frames.dart';
import 'source.dart';

/// A file as sealed chunks.
///
/// A chunk's nonce is its index: what is sealed again must be what was sealed before. So each chunk read again is compared
/// with its mark, and a file that has changed is never sent on.
class Chunks {
  Chunks(this._source, this._cipher) : total = (_source.size + Wire.chunkSize - 1) ~/ Wire.chunkSize;

  final FileSource _source;
  final FileCipher _cipher;
  final int total;
  final _Marks _marks = _Marks();

  /// Suite 1: of what was read for the first time.
  final Sha256Sum _whole = Sha256Sum();
  String? _end;
  int _at = 0;

  /// Of all, where it was read before; else empty.
  String sha256 = '';

  bool get seekable => _source.seekable;

  /// Reads the whole file once, for its hash.
  Future<void> digest({required bool Function() stopped}) async {
    final whole = Sha256Sum();
    for (var i = 0; i < total; i++) {
      if (stopped()) throw cancelled();
      final piece = await _read(i);
      whole.update(piece);
      _marks.check(i, piece);
    }
    _at = 0;
    sha256 = whole.finish();
  }

  /// The `meta` of init_file.
  Future<String> meta(String type) =>
      _cipher.sealMeta(Meta(name: _source.name, size: _source.size, type: type, sha256: sha256));

  /// A chunk as a binary frame. The chunks are asked for in order, except after going back.
  Future<Uint8List> frame(String fileId, int index) async {
    final piece = await _read(index);
    final first = !seekable || _marks.check(index, piece);
    if (first && _cipher.legacy) _whole.update(piece);
    return chunkFrame(fileId, index, await _cipher.seal(index, piece, last: index == total - 1));
  }

  Future<Uint8List> _read(int index) async {
    if (index != _at && !seekable) throw goneBack();
    final left = _source.size - index * Wire.chunkSize;
    final n = left < Wire.chunkSize ? left : Wire.chunkSize;
    final Uint8List piece;
    try {
      piece = await _source.read(index * Wire.chunkSize, n);
    } catch (cause) {
      throw FastPortException('source_changed', 'file: it cannot be read: $cause', cause: cause);
    }
    if (piece.length != n) throw changed();
    _at = index + 1;
    return piece;
  }

  /// The hash that end_file carries, once all was read: suite 1's alone, for a hash in the open would tell the server which
  /// file it is.
  String? end() => _cipher.legacy ? _end ??= _whole.finish() : null;
}

const _mark = 16;

/// Tells whether a chunk is the same as before, at 16 bytes of memory a chunk.
class _Marks {
  Uint8List _marks = Uint8List(64 * _mark);
  int _count = 0;

  /// True: it is seen for the first time.
  bool check(int index, Uint8List piece) {
    final mark = digests.sha256.convert(piece).bytes;
    final at = index * _mark;
    if (index < _count) {
      for (var i = 0; i < _mark; i++) {
        if (mark[i] != _marks[at + i]) throw changed();
      }
      return false;
    }
    if (at >= _marks.length) _marks = Uint8List(2 * _marks.length)..setAll(0, _marks);
    _marks.setRange(at, at + _mark, mark);
    _count = index + 1;
    return true;
  }
}

FastPortException goneBack() =>
    FastPortException('stalled', 'file: a receiver has lost more than can be sent again');

FastPortException changed() => FastPortException('source_changed', 'file: it is not what it was when it was begun');
