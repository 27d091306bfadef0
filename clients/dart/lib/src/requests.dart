import 'dart:async';

import 'async.dart';
import 'connection.dart';
import 'errors.dart';
import 'frames.dart';

/// A frame that the server answers by one of its own, with the same topic or user.
class _Request {
  _Request(this.frame, this.want, this.about, {this.again = false});

  _Request.subscribeAgain(String topic)
      : this({'type': 'subscribe', 'topic': topic}, 'subscribe_response', topic, again: true);

  final ClientFrame frame;

  /// The answer's type.
  final String want;

  /// Topic or userId.
  final String about;

  /// A subscription made again with a new connection.
  final bool again;

  /// On this connection.
  bool sent = false;
  final Completer<ServerFrame> done = Completer();
}

/// The requests that were not answered yet. They are sent again with each new connection. Each belongs to a call that waits for
/// it, or to a subscription, so that there are no more than of these.
class Requests {
  Requests({required void Function() wake, required void Function(String topic, FastPortException err) refusedAgain})
      : _wake = wake,
        _refusedAgain = refusedAgain;

  final void Function() _wake;
  final void Function(String topic, FastPortException err) _refusedAgain;
  List<_Request> _list = [];

  /// The client has ended.
  FastPortException? _error;

  /// Sends a request and waits for its answer.
  Future<ServerFrame> ask(ClientFrame frame, {required String want, required String about, Future<void>? cancel}) async {
    if (_error case final err?) throw err;
    final q = _Request(frame, want, about);
    _list.add(q);
    _wake();
    return cancellable(q.done.future, cancel, () => _list.remove(q));
  }

  /// Subscribes to a topic, or unsubscribes: [type] is `subscribe` or `unsubscribe`.
  Future<void> topic(String type, String topic, {Future<void>? cancel}) =>
      ask({'type': type, 'topic': topic}, want: '${type}_response', about: topic, cancel: cancel);

  /// Subscribes to a topic without anyone waiting.
  void again(String topic) {
    if (_error != null) return;
    _list.add(_Request.subscribeAgain(topic));
    _wake();
  }

  /// Puts the topics to be subscribed again in front of all that was not answered. True: there are none.
  bool restart(List<String> topics) {
    final rest = _list.where((q) => !q.again).toList();
    for (final q in rest) {
      q.sent = false;
    }
    _list = [...topics.map(_Request.subscribeAgain), ...rest];
    return topics.isEmpty;
  }

  /// Sends what was not sent yet. True: there was something.
  bool pull(Connection k) {
    var any = false;
    for (final q in _list) {
      if (q.sent) continue;
      q.sent = any = true;
      k.send(q.frame);
    }
    return any;
  }

  /// Settles the request that f answers: answers come in the order of requests. True: no subscription is waiting to be made
  /// again any more.
  bool answer(ServerFrame f) {
    final about = f.topic ?? f.userId;
    _settle(f, (q) => q.want == f.type && q.about == about);
    return !_list.any((q) => q.again);
  }

  /// Settles the request that an error frame with a topic is about. False: there is none.
  bool refused(ServerFrame f) => _settle(f, (q) => q.about == f.topic);

  bool _settle(ServerFrame f, bool Function(_Request q) isIt) {
    final at = _list.indexWhere((q) => q.sent && isIt(q));
    if (at < 0) return false;
    final q = _list.removeAt(at);
    if (f.success) {
      q.done.complete(f);
    } else if (q.again) {
      _refusedAgain(q.about, f.refusal());
    } else {
      q.done.completeError(f.refusal());
    }
    return true;
  }

  /// Ends all requests, and all that come.
  void fail(FastPortException err) {
    _error ??= err;
    final ended = _list;
    _list = [];
    for (final q in ended) {
      if (!q.again) q.done.completeError(err);
    }
  }
}
