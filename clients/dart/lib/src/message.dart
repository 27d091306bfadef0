import 'dart:typed_data';

/// A message, opened.
final class Message {
  Message({
    required this.topic,
    required this.id,
    required this.payload,
    required this.text,
    required this.timestamp,
    required this.seq,
    required this.retry,
    required this.replay,
    required this.qos,
    required this.legacy,
  });

  final String topic;
  final String id;
  final Uint8List payload;

  /// The payload as text.
  final String text;

  /// ms since 1970, by its sender.
  final int timestamp;

  /// Its place in the topic; null where the server did not tell.
  final int? seq;

  /// How many times the server has sent it before, as far as this delivery tells.
  final int retry;

  /// It was read back from the store.
  final bool replay;

  /// 0: at most once. 1: at least once.
  final int qos;

  /// Suite 1: nothing proves sender, topic or time.
  final bool legacy;
}
