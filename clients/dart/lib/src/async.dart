import 'dart:async';

import 'errors.dart';

/// One waits, many may notify: notices that nobody waited for are one.
class Notice {
  bool _set = false;
  Completer<void>? _waiting;

  void notify() {
    _set = true;
    final waiting = _waiting;
    _waiting = null;
    waiting?.complete();
  }

  /// Completes at the next notice, or at once if one has come since the last wait.
  Future<void> wait() async {
    if (!_set) await (_waiting ??= Completer<void>()).future;
    _set = false;
  }
}

/// Completes a completer that may have been completed before.
extension Once on Completer<void> {
  void once() {
    if (!isCompleted) complete();
  }
}

/// Waits for [done] at most so long. True: it completed in time. An error counts.
Future<bool> within(Future<void> done, Duration most) =>
    done.then((_) => true).timeout(most, onTimeout: () => false);

/// [done], or the code `cancelled` where [cancel] completes first; [stop] is called then.
Future<T> cancellable<T>(Future<T> done, Future<void>? cancel, void Function() stop) {
  if (cancel == null) return done;
  final first = Completer<T>();
  void give() {
    if (first.isCompleted) return;
    first.completeError(cancelled());
    stop();
  }

  unawaited(cancel.then((_) => give(), onError: (Object _) => give()));
  unawaited(done.then((value) {
    if (!first.isCompleted) first.complete(value);
  }, onError: (Object err, StackTrace at) {
    if (!first.isCompleted) first.completeError(err, at);
  }));
  return first.future;
}

FastPortException cancelled() => FastPortException('cancelled', 'the call was cancelled');
