import 'message.dart';

/// Remembers which marks were accepted. A sender's numbers are kept as ranges: one range a sender whose every message comes
/// this way, more where only some do. Beyond its bound it forgets the sender heard least recently, and of a sole sender the
/// lowest numbers: it would rather take an old message twice than refuse one that never came.
class ReplayGuard {
  ReplayGuard([this._max = 65536]);

  final int _max;
  int _ranges = 0;

  /// By sender, the one heard last at the end: ranges, ascending, neither touching nor overlapping.
  final Map<String, List<_Range>> _senders = {};

  /// Was it accepted before?
  bool seen(Mark mark) {
    final ranges = _senders[mark.sender];
    if (ranges == null) return false;
    final i = _search(ranges, mark.counter);
    return i < ranges.length && ranges[i].first <= mark.counter;
  }

  /// Remembers a mark. False: it was accepted before.
  bool accept(Mark mark) {
    final ranges = _senders.remove(mark.sender) ?? [];
    _senders[mark.sender] = ranges; // at the end
    final before = ranges.length;
    if (!_add(ranges, mark.counter)) return false;
    _ranges += ranges.length - before;
    while (_ranges > _max) {
      _forget();
    }
    return true;
  }

  void _forget() {
    if (_senders.length == 1) {
      _senders.values.first.removeAt(0);
      _ranges--;
    } else {
      _ranges -= _senders.remove(_senders.keys.first)!.length;
    }
  }
}

class _Range {
  _Range(this.first, this.last);

  BigInt first;
  BigInt last;
}

/// The first range that ends at n or later.
int _search(List<_Range> ranges, BigInt n) {
  var low = 0, high = ranges.length;
  if (high > 0 && ranges[high - 1].last < n) return high; // the usual case: the next number
  while (low < high) {
    final middle = (low + high) >> 1;
    if (ranges[middle].last >= n) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

/// Puts n into the ranges, joining those that it connects. False: it was there.
bool _add(List<_Range> ranges, BigInt n) {
  final i = _search(ranges, n);
  if (i < ranges.length && ranges[i].first <= n) return false;
  final left = i > 0 && ranges[i - 1].last + BigInt.one == n;
  final right = i < ranges.length && ranges[i].first - BigInt.one == n;
  if (left && right) {
    ranges[i - 1].last = ranges[i].last;
    ranges.removeAt(i);
  } else if (left) {
    ranges[i - 1].last = n;
  } else if (right) {
    ranges[i].first = n;
  } else {
    ranges.insert(i, _Range(n, n));
  }
  return true;
}
