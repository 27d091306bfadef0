// Files on the device's disk. Only where dart:io is does anything import this.
import 'dart:io';
import 'dart:typed_data';

import '../errors.dart';
import '../frames.dart';
import 'names.dart';
import 'sinks.dart';
import 'source.dart';

/// What the server is told that this device runs: `android`, `ios`, `linux`, ...
String get platformName => Platform.operatingSystem;

/// A file by its path.
Future<FileSource> openPath(String path) async {
  final file = File(path);
  final info = await file.stat();
  if (info.type != FileSystemEntityType.file) {
    throw FastPortException('bad_request', 'file: $path is no file');
  }
  return _DiskSource(await file.open(), file.uri.pathSegments.last, info.size);
}

class _DiskSource implements FileSource {
  _DiskSource(this._file, this.name, this.size);

  final RandomAccessFile _file;

  @override
  final String name;

  @override
  final int size;

  @override
  bool get seekable => true;

  @override
  Future<Uint8List> read(int at, int n) async {
    await _file.setPosition(at);
    final piece = Uint8List(n);
    var have = 0;
    while (have < n) {
      final more = await _file.readInto(piece, have);
      if (more == 0) break;
      have += more;
    }
    return Uint8List.sublistView(piece, 0, have);
  }

  @override
  Future<void> close() => _file.close();
}

Future<FileSink<String>> openDirectorySink(String path, String name, {required bool overwrite}) async {
  final directory = Directory(path);
  if (!await directory.exists()) throw FastPortException('bad_option', '$path is no directory');
  final temp = File.fromUri(directory.uri.resolve('.fastport-${newUuid()}.part'));
  await temp.create(exclusive: true);
  return _DiskSink(directory, temp, await temp.open(mode: FileMode.writeOnly), safeName(name), overwrite);
}

class _DiskSink implements FileSink<String> {
  _DiskSink(this._directory, this._temp, this._to, this._name, this._overwrite);

  final Directory _directory;
  final File _temp;
  final RandomAccessFile _to;
  final String _name;
  final bool _overwrite;

  @override
  Future<void> write(Uint8List piece) async {
    await _to.writeFrom(piece);
  }

  @override
  Future<String> close() async {
    try {
      await _to.flush();
      await _to.close();
      return await _place();
    } catch (_) {
      await _forget();
      rethrow;
    }
  }

  @override
  Future<void> abort(Object reason) async {
    try {
      await _to.close();
    } on FileSystemException {
      // it is to go anyway
    }
    await _forget();
  }

  Future<void> _forget() async {
    if (await _temp.exists()) await _temp.delete();
  }

  /// Gives the file its name, or that with a number where it is taken.
  Future<String> _place() async {
    for (var n = 0; n < maxNumber; n++) {
      final file = File.fromUri(_directory.uri.resolveUri(Uri(pathSegments: [numbered(_name, n)])));
      if (!_overwrite) {
        try {
          await file.create(exclusive: true); // takes the name: of two who want it, one gets it
        } on FileSystemException {
          if (await FileSystemEntity.type(file.path) != FileSystemEntityType.notFound) continue;
          rethrow;
        }
      }
      await _temp.rename(file.path);
      return file.path;
    }
    throw FastPortException('conflict', 'file: there are too many of the name $_name');
  }
}
