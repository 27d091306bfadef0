/// Milliseconds of a clock that nobody sets.
int monotonic() => _watch.elapsedMilliseconds;

final Stopwatch _watch = Stopwatch()..start();

/// The server's clock, as far as it is known. It goes on by the monotonic clock, so that nobody who sets this device's time
/// changes it.
class Clock {
  int? _server;
  int _at = 0;

  /// Takes the server's time, in ms.
  void set(int? serverTime) {
    if (serverTime == null || serverTime <= 0) return;
    _server = serverTime;
    _at = monotonic();
  }

  /// ms since 1970
  int now() {
    final server = _server;
    return server == null ? DateTime.now().millisecondsSinceEpoch : server + monotonic() - _at;
  }
}
