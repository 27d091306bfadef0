import '../connection.dart';
import '../errors.dart';
import '../frames.dart';
import 'progress.dart';
import 'sending.dart';

/// The files on their way out.
class Sendings {
  final Map<String, Sending> _list = {};

  /// No more are taken.
  FastPortException? _error;

  /// Takes a file from its start to its end.
  Future<void> run(Sending t, Connection? k, void Function(FileProgress progress)? onProgress) async {
    if (_error case final err?) throw err;
    if (_list.containsKey(t.id)) {
      throw FastPortException('conflict', 'this file is being sent already', fileId: t.id);
    }
    _list[t.id] = t;
    t.move(k);
    try {
      await t.produce(onProgress);
    } catch (_) {
      t.cancel();
      rethrow;
    } finally {
      _list.remove(t.id);
    }
  }

  void move(Connection? k) {
    for (final t in _list.values) {
      t.move(k);
    }
  }

  /// Sends a few chunks of each file that is on k. True: there is more.
  bool pull(Connection k) {
    var more = false;
    for (final t in _list.values.toList()) {
      more = t.pull(k) || more;
    }
    return more;
  }

  void progress(Connection k, ServerFrame f) => _list[f.fileId]?.progress(k, f);

  /// Takes a file_error. False: it is about no file that goes out.
  bool refused(Connection k, ServerFrame f) {
    final t = _list[f.fileId];
    t?.refused(k, f);
    return t != null;
  }

  void cancelAll(FastPortException err) {
    _error ??= err;
    for (final t in _list.values.toList()) {
      t.fail(err);
      if (isCode(err, 'closed')) t.cancel();
    }
  }
}
