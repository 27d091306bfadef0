import 'dart:async';
import 'dart:typed_data';

import '../crypto/bytes.dart';
import '../errors.dart';
import 'local.dart';
import 'offer.dart';

/// Takes one file's content, in order. Exactly one of [close] and [abort] ends it. Content that a [write] has not taken yet is not
/// acked, so a slow sink slows its sender.
abstract interface class FileSink<T> {
  /// The piece is the sink's to keep.
  FutureOr<void> write(Uint8List piece);

  /// The content is whole and right. What it returns is handed to the handler.
  FutureOr<T> close();

  /// The rest will never come.
  FutureOr<void> abort(Object reason);
}

/// Says where a file goes; null declines it.
typedef FileSave<T> = FutureOr<FileSink<T>?> Function(FileOffer offer);

/// What is taken into memory at most, by itself.
const memoryLimit = 32 << 20;

/// Keeps a file in memory. What is larger than [limit], in bytes, is not taken, and `onError` gets `too_large`.
FileSave<Uint8List> toMemory({int limit = memoryLimit}) => (offer) {
      if (offer.size > limit) {
        throw FastPortException('too_large',
            'file: of ${offer.size} bytes, and at most $limit are taken into memory; receiveFiles takes it to disk');
      }
      return _Memory();
    };

class _Memory implements FileSink<Uint8List> {
  List<Uint8List> _pieces = [];

  @override
  void write(Uint8List piece) => _pieces.add(piece);

  @override
  Uint8List close() => concat(_pieces);

  @override
  void abort(Object reason) => _pieces = [];
}

/// Streams each file to disk, into a directory that exists; the handler gets the file's path. A file is written under a temporary name,
/// and gets its own, the last element of the one that its sender chose, once it is whole and right.
///
/// With [overwrite] it replaces one of the same name; else it becomes "name (1).ext". What is larger than [maxSize], in bytes, is
/// declined. The web has no directories: code `unsupported`.
FileSave<String> toDirectory(String path, {bool overwrite = false, int? maxSize}) => (offer) {
      if (maxSize != null && offer.size > maxSize) return null;
      return openDirectorySink(path, offer.fileName, overwrite: overwrite);
    };
