/// Describes a file that is about to come.
final class FileOffer {
  const FileOffer({
    required this.fileId,
    required this.topic,
    required this.fileName,
    required this.size,
    this.type = '',
    this.sha256 = '',
    required this.legacy,
  });

  final String fileId;
  final String topic;

  /// As its sender chose it: any text, to be trusted as a file name by nobody.
  final String fileName;

  /// Bytes.
  final int size;

  /// Media type; empty where the sender gave none.
  final String type;

  /// Of the content, in hex; empty where the sender did not know it.
  final String sha256;

  /// Suite 1: the server saw the name, and nothing proves who sent it.
  final bool legacy;
}
