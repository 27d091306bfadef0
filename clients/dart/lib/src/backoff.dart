import 'dart:math';

/// A pause that doubles with each failure, of which a random part is waited (full jitter): clients that were cut off
/// together come back spread out.
class Backoff {
  Backoff(this.min, this.max);

  /// ms
  final int min;

  /// ms
  final int max;
  int failures = 0;

  static final Random _random = Random();

  /// The next pause.
  Duration next() {
    final doubled = min * pow(2, failures < 32 ? failures : 32);
    failures++;
    return jitter(doubled < max ? doubled.toInt() : max);
  }

  void reset() => failures = 0;

  /// A random part of so many ms.
  static Duration jitter(int ms) => Duration(microseconds: (_random.nextDouble() * ms * 1000).round());
}
