// Parts by themselves, where a server would not bring them to their bounds.
import 'dart:convert';
import 'dart:math';
import 'dart:typed_data';

import 'package:fastport_client/fastport_client.dart';
import 'package:fastport_client/src/backoff.dart';
import 'package:fastport_client/src/crypto/bytes.dart';
import 'package:fastport_client/src/crypto/keyring.dart';
import 'package:fastport_client/src/crypto/message.dart';
import 'package:fastport_client/src/crypto/replay.dart';
import 'package:fastport_client/src/dedupe.dart';
import 'package:fastport_client/src/files/names.dart';
import 'package:fastport_client/src/files/source.dart';
import 'package:test/test.dart';

void main() {
  test('base64 takes nothing that is only almost base64', () {
    for (var n = 0; n < 70; n++) {
      final b = randomBytes(n);
      expect(unbase64(base64.encode(b)), b);
      expect(unbase64url(base64url(b)), b);
    }
    for (final bad in ['A', 'AA', 'AAA', 'AAAA\n', 'AA==AA==', 'AB==', 'AAB=', 'A-_=', '====', 'AAA\u0100']) {
      expect(unbase64(bad), isNull, reason: bad);
    }
    for (final bad in ['A', 'AB', 'AAB', 'AA==', 'A+/A', 'AA\nA']) {
      expect(unbase64url(bad), isNull, reason: bad);
    }
  });

  test('a text keeps its byte order mark', () {
    expect(textOf(utf8.encode('\ufeffa')), '\ufeffa');
    expect(textOf(Uint8List.fromList([0x61, 0xff])), 'a\ufffd');
  });

  test('a hash is the same however its input is cut', () {
    final b = randomBytes(100000);
    final pieces = Sha256Sum();
    final random = Random();
    for (var at = 0; at < b.length;) {
      final end = min(b.length, at + 1 + random.nextInt(5000));
      pieces.update(Uint8List.sublistView(b, at, end));
      at = end;
    }
    expect(pieces.finish(), (Sha256Sum()..update(b)).finish());
    expect(hashOf('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  test('a sealer draws a new sender before its numbers run out, and each day', () async {
    final ring = await KeyRing.load('s', [generateKey()]);
    var now = 0;
    final sealer = Sealer(ring, now: () => now, counter: 0x80000000 - 2);
    const header = Header('t', 'm', 1);
    Future<Mark> mark() async => (await openMessage(ring, header, await sealer.seal(header, [0]))).mark;
    final a = await mark(), b = await mark(), c = await mark();
    expect([a.counter, b.counter, c.counter], [BigInt.from(0x7ffffffe), BigInt.from(0x7fffffff), BigInt.zero]);
    expect(a.sender, b.sender);
    expect(b.sender, isNot(c.sender));
    now += 24 * 3600 * 1000;
    expect((await mark()).sender, isNot(c.sender));
  });

  test('seals made at once never share a number', () async {
    final ring = await KeyRing.load('s', [generateKey()]);
    final sealer = Sealer(ring);
    const header = Header('t', 'm', 1);
    final all = await Future.wait([for (var i = 0; i < 200; i++) sealer.seal(header, [0])]);
    final marks = {for (final data in all) (await openMessage(ring, header, data)).mark.counter};
    expect(marks, hasLength(200));
  });

  test('a replay guard agrees with a plain set, and keeps its bound', () {
    final guard = ReplayGuard();
    final model = <(String, int)>{};
    final random = Random();
    for (var i = 0; i < 5000; i++) {
      final sender = '${random.nextInt(3)}', counter = random.nextInt(2000);
      final mark = Mark(sender, BigInt.from(counter));
      expect(guard.seen(mark), model.contains((sender, counter)));
      expect(guard.accept(mark), model.add((sender, counter)));
    }
    final small = ReplayGuard(3);
    for (final n in [0, 2, 4, 6]) {
      small.accept(Mark('a', BigInt.from(n)));
    }
    expect(small.seen(Mark('a', BigInt.zero)), isFalse, reason: 'the lowest is forgotten');
    expect(small.seen(Mark('a', BigInt.from(6))), isTrue);
    small.accept(Mark('b', BigInt.one));
    expect(small.seen(Mark('a', BigInt.from(6))), isFalse, reason: 'who was heard longest ago is forgotten');
    expect(small.seen(Mark('b', BigInt.one)), isTrue);
  });

  test('a dedupe hands over once, knows its last ones, and forgets the oldest', () {
    final d = Dedupe(2);
    expect(d.begin('a'), Verdict.fresh);
    expect(d.begin('a'), Verdict.inHand);
    d.finish('a', forGood: false);
    expect(d.begin('a'), Verdict.fresh, reason: 'given back, it may come again');
    for (final key in ['a', 'b', 'c']) {
      d.begin(key);
      d.finish(key, forGood: true);
    }
    expect([for (final key in ['a', 'b', 'c']) d.knows(key)], [false, true, true]);
    expect(d.begin('c'), Verdict.acked);
  });

  test('a backoff doubles, is jittered and bounded', () {
    final b = Backoff(100, 1000);
    for (final most in [100, 200, 400, 800, 1000, 1000]) {
      final ms = b.next().inMilliseconds;
      expect(ms, inInclusiveRange(0, most));
    }
    b.reset();
    expect(b.next().inMilliseconds, inInclusiveRange(0, 100));
  });

  test('names of files are of one path element, not hidden, and fit every system', () {
    for (final (name, want) in [
      ('photo.jpg', 'photo.jpg'),
      ('../../etc/passwd', 'passwd'),
      (r'C:\x\y.txt', 'y.txt'),
      ('.bashrc', 'bashrc'),
      ('..', 'file'),
      ('', 'file'),
      ('a/', 'file'),
      ('a\u0000b\u202etxt.exe', 'a_b_txt.exe'),
      ('what?*.txt', 'what__.txt'),
      ('NUL.txt', 'file'),
      ('x. . ', 'x'),
      ('ä 👋.txt', 'ä 👋.txt'),
    ]) {
      expect(safeName(name), want, reason: name);
    }
    final long = safeName('${'👋' * 100}.jpeg');
    expect(utf8.encode(long).length, lessThanOrEqualTo(248));
    expect(long, endsWith('👋.jpeg'));
    expect(numbered('a.tar.gz', 2), 'a.tar (2).gz');
    expect(numbered('hidden', 1), 'hidden (1)');
  });

  test('every kind of source gives the pieces that are asked for', () async {
    final content = randomBytes(1000);
    Stream<List<int>> cut(int start, int end) =>
        Stream.fromIterable([for (var at = start; at < end; at += 7) content.sublist(at, min(at + 7, end))]);
    for (final source in [
      FileSource.bytes(content, name: 'a'),
      FileSource.ranges(name: 'a', size: 1000, openRead: (start, end) => cut(start, min(end, 1000))),
      FileSource.stream(cut(0, 1000), name: 'a', size: 1000),
    ]) {
      final named = await openSource(source, 'b');
      expect((named.name, named.size), ('b', 1000));
      expect(await named.read(0, 300), content.sublist(0, 300));
      expect(await named.read(300, 600), content.sublist(300, 900));
      expect(await named.read(900, 300), content.sublist(900));
      await named.close();
    }
  });

  test('options that are wrong are thrown', () {
    FastPort make({Object url = 'ws://localhost', Object? key, int suite = 2}) => FastPort(
        serverUrl: url, sessionName: 's', password: 'p', aesKey: key ?? generateKey(), suite: suite);
    make(url: ['ws://a', 'https://b:1']);
    for (final wrong in [
      () => make(url: 'ftp://a'),
      () => make(url: <String>[]),
      () => make(url: 7),
      () => make(key: 'short'),
      () => make(suite: 3),
    ]) {
      expect(wrong, throwsA(isA<FastPortException>().having((err) => err.code, 'code', 'bad_option')));
    }
  });
}
