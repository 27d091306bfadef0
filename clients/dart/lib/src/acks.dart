import 'connection.dart';

// Acks that wait, while the connection is down above all. Of more the oldest are dropped: the server sends those messages
// again, and they are acked again.
const _maxAcks = 8192;
// How many ids one frame carries.
const _batch = 256;

/// The acks to be sent. While one write is under way they gather, so that a busy client sends few frames and an idle one
/// waits for nothing.
class Acks {
  List<(String, String)> _queue = [];

  void add(String topic, String id) {
    if (_queue.length >= _maxAcks) _queue.removeRange(0, _maxAcks ~/ 4);
    _queue.add((topic, id));
  }

  /// Sends all that wait, a frame for each topic and batch. True: there was something.
  bool pull(Connection k) {
    if (_queue.isEmpty) return false;
    final topics = <String, List<String>>{};
    for (final (topic, id) in _queue) {
      (topics[topic] ??= []).add(id);
    }
    _queue = [];
    topics.forEach((topic, ids) {
      for (var at = 0; at < ids.length; at += _batch) {
        final batch = ids.skip(at).take(_batch).toList();
        k.send(batch.length == 1
            ? {'type': 'ack', 'messageId': batch.single, 'topic': topic}
            : {'type': 'ack', 'topic': topic, 'messageIds': batch});
      }
    });
    return true;
  }
}
