import 'dart:async';
import 'dart:typed_data';

import '../crypto/bytes.dart';
import '../errors.dart';
import '../frames.dart';
import 'local.dart';

/// What a file is read from, piece by piece.
abstract interface class FileSource {
  /// Bytes in memory, which must not be changed meanwhile.
  factory FileSource.bytes(List<int> bytes, {required String name}) = _BytesSource;

  /// What can be read from anywhere to anywhere, as a file picker's XFile or a File can:
  /// `FileSource.ranges(name: x.name, size: await x.length(), openRead: x.openRead)`.
  factory FileSource.ranges({
    required String name,
    required int size,
    required Stream<List<int>> Function(int start, int end) openRead,
  }) = _RangesSource;

  /// What can be read once, from start to end. It can go back by a window's length, and no hash travels with its name.
  factory FileSource.stream(Stream<List<int>> stream, {required String name, required int size}) = _StreamSource;

  String get name;

  /// Bytes.
  int get size;

  /// False: it can be read once, from start to end.
  bool get seekable;

  /// Less than n where it ends.
  Future<Uint8List> read(int at, int n);

  Future<void> close();
}

/// What sendFile takes, as a source. [name] counts more than what the source says.
Future<FileSource> openSource(Object from, String? name) async {
  final source = switch (from) {
    final String path => await openPath(path),
    final FileSource source => source,
    final List<int> bytes => FileSource.bytes(bytes, name: name ?? ''),
    _ => throw FastPortException('bad_request', 'file: takes a path, bytes or a FileSource'),
  };
  final named = name == null ? source : _Named(source, name);
  if (named.name.isEmpty || named.size < 0) {
    await named.close();
    throw FastPortException('bad_request', 'file: it needs a ${named.name.isEmpty ? 'name' : 'size'}');
  }
  if (named.size > Wire.chunkSize * 0xffffffff) {
    await named.close();
    throw FastPortException('too_large', 'file: more than 2^32 chunks');
  }
  return named;
}

class _Named implements FileSource {
  _Named(this._source, this.name);

  final FileSource _source;

  @override
  final String name;

  @override
  int get size => _source.size;

  @override
  bool get seekable => _source.seekable;

  @override
  Future<Uint8List> read(int at, int n) => _source.read(at, n);

  @override
  Future<void> close() => _source.close();
}

class _BytesSource implements FileSource {
  _BytesSource(List<int> bytes, {required this.name}) : _bytes = bytesOf(bytes);

  final Uint8List _bytes;

  @override
  final String name;

  @override
  int get size => _bytes.length;

  @override
  bool get seekable => true;

  @override
  Future<Uint8List> read(int at, int n) async {
    final end = at + n < size ? at + n : size;
    return Uint8List.sublistView(_bytes, at < end ? at : end, end);
  }

  @override
  Future<void> close() async {}
}

class _RangesSource implements FileSource {
  _RangesSource({required this.name, required this.size, required Stream<List<int>> Function(int, int) openRead})
      : _openRead = openRead;

  final Stream<List<int>> Function(int start, int end) _openRead;

  @override
  final String name;

  @override
  final int size;

  @override
  bool get seekable => true;

  @override
  Future<Uint8List> read(int at, int n) async => concat(await _openRead(at, at + n).toList());

  @override
  Future<void> close() async {}
}

class _StreamSource implements FileSource {
  _StreamSource(Stream<List<int>> stream, {required this.name, required this.size}) : _pieces = StreamIterator(stream);

  final StreamIterator<List<int>> _pieces;
  Uint8List _held = Uint8List(0);

  @override
  final String name;

  @override
  final int size;

  @override
  bool get seekable => false;

  @override
  Future<Uint8List> read(int at, int n) async {
    final parts = <List<int>>[_held];
    var have = _held.length;
    while (have < n && await _pieces.moveNext()) {
      parts.add(_pieces.current);
      have += _pieces.current.length;
    }
    final all = concat(parts);
    final cut = have < n ? have : n;
    _held = Uint8List.sublistView(all, cut);
    return Uint8List.sublistView(all, 0, cut);
  }

  @override
  Future<void> close() async => _pieces.cancel();
}
