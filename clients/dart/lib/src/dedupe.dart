/// What is to be done with a message that came: [fresh] is handed over; one that is [inHand] the application has, the repeat
/// is ignored; one that was [acked] is acked again.
enum Verdict { fresh, inHand, acked }

/// Hands each message over once. It knows those in hand, and the last ones that were acked, up to its size.
class Dedupe {
  Dedupe(this._size);

  final int _size;
  final Set<String> _hand = {};

  /// The oldest first.
  final Set<String> _done = {};

  /// Takes a message in hand, if it is fresh.
  Verdict begin(String key) {
    if (_done.contains(key)) return Verdict.acked;
    return _hand.add(key) ? Verdict.fresh : Verdict.inHand;
  }

  /// Is it in hand, or was it acked?
  bool knows(String key) => _hand.contains(key) || _done.contains(key);

  /// Takes a message out of hand, for good or to be handed over again when it comes again.
  void finish(String key, {required bool forGood}) {
    _hand.remove(key);
    if (!forGood || _done.contains(key)) return;
    if (_done.length >= _size && _done.isNotEmpty) _done.remove(_done.first);
    _done.add(key);
  }
}

/// Names a message: an id counts within its topic. Neither holds a control character.
String keyOf(String topic, String id) => '$topic\n$id';
