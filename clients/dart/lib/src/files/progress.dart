/// How far a file is.
final class FileProgress {
  const FileProgress({
    required this.fileId,
    required this.fileName,
    required this.size,
    required this.done,
    this.receivers,
    this.sha256 = '',
  });

  final String fileId;
  final String fileName;

  /// Bytes in all.
  final int size;

  /// Bytes that every receiver has written (sending), or that are written here (receiving).
  final int done;

  /// Sending only: how many are taking it.
  final int? receivers;

  /// Sending only: of the content, in hex; empty where the source is read once.
  final String sha256;
}
