// The vectors that every SDK reads.
import 'dart:convert';
import 'dart:io';
import 'dart:typed_data';

import 'package:fastport_client/src/crypto/bytes.dart';
import 'package:fastport_client/src/crypto/device.dart';
import 'package:fastport_client/src/crypto/file.dart';
import 'package:fastport_client/src/crypto/key.dart';
import 'package:fastport_client/src/crypto/keyring.dart';
import 'package:fastport_client/src/crypto/legacy.dart';
import 'package:fastport_client/src/crypto/message.dart';
import 'package:fastport_client/src/errors.dart';
import 'package:fastport_client/src/frames.dart';
import 'package:test/test.dart';

typedef Vector = Map<String, Object?>;

void main() {
  final all = jsonDecode(File('../../testdata/vectors.json').readAsStringSync()) as Vector;
  final suite1 = all['suite1']! as Vector;
  final suite2 = all['suite2']! as Vector;

  test('sessions: kid, key check and push key', () async {
    for (final v in vectors(all, 'sessions')) {
      final ring = await KeyRing.load(v.text('session'), [v.text('key')]);
      expect(hex(ring.newest.kid), v.text('kid'));
      expect(await ring.newest.keyCheck(), v.text('keyCheck'));
      expect(await ring.newest.fcmKey(), v.text('fcmKey'));
      expect(await ring.holds(v.text('keyCheck')), isTrue);
    }
  });

  test('weak keys are refused', () {
    final weak = (all['weakKeys']! as List<Object?>).cast<String>();
    expect(weak, isNotEmpty);
    for (final key in weak) {
      expect(() => parseKey(key), throwsA(coded('weak_key')));
    }
  });

  test('suite 1: messages', () async {
    for (final v in vectors(suite1, 'messages')) {
      final ring = await KeyRing.load('any', [v.text('key')]);
      final data = await sealLegacy(ring, v.bytes('plaintext'), iv: v.bytes('iv'));
      expect(data, v.text('data'), reason: v.text('name'));
      expect(hashOf(data), v.text('hash'), reason: v.text('name'));
      expect(hex(await openLegacy(ring, data, v.text('hash'))), v.text('plaintext'), reason: v.text('name'));
    }
  });

  test('suite 1: chunks', () async {
    for (final v in vectors(suite1, 'chunks')) {
      final key = (await KeyRing.load('any', [v.text('key')])).newest.cbc;
      final payload = await sealChunk(key, v.bytes('plaintext'), iv: v.bytes('iv'));
      expect(hex(payload), v.text('payload'));
      expect(hex(await openChunk(key, payload)), v.text('plaintext'));
    }
  });

  test('suite 1: what must be refused', () async {
    for (final v in vectors(suite1, 'refused')) {
      final ring = await KeyRing.load('any', [v.text('key')]);
      await expectLater(openLegacy(ring, v.text('data'), hashOf(v.text('data'))), throwsA(coded(v.text('error'))),
          reason: v.text('name'));
    }
    final v = vectors(suite1, 'messages').first;
    final ring = await KeyRing.load('any', [v.text('key')]);
    await expectLater(openLegacy(ring, v.text('data'), hashOf('another')), throwsA(coded('authentication')));
  });

  test('suite 2: messages', () async {
    for (final v in vectors(suite2, 'messages')) {
      final ring = await KeyRing.load(v.text('session'), [v.text('key')]);
      final header = Header(v.text('topic'), v.text('messageId'), v.number('timestamp'));
      expect(hex(messageAad(v.text('session'), header)), v.text('aad'), reason: v.text('name'));
      final opened = await openMessage(ring, header, v.text('data'));
      expect(hex(opened.plaintext), v.text('plaintext'), reason: v.text('name'));
      expect(opened.mark.sender, v.text('sender'));
      expect(opened.mark.counter, BigInt.from(v.number('counter')));
      expect('00000000${opened.mark.counter.toRadixString(16).padLeft(16, '0')}', v.text('nonce'));
      if (v.number('counter') >= 0x80000000) continue; // opens, but no sealer of ours gets there
      final sealer = Sealer(ring, random: (_) => v.bytes('sender'), counter: v.number('counter'));
      expect(await sealer.seal(header, v.bytes('plaintext')), v.text('data'), reason: v.text('name'));
    }
  });

  test('suite 2: what must be refused', () async {
    for (final v in vectors(suite2, 'refused')) {
      final ring = await KeyRing.load(v.text('session'), [v.text('key')]);
      final header = Header(v.text('topic'), v.text('messageId'), v.number('timestamp'));
      await expectLater(openMessage(ring, header, v.text('data')), throwsA(coded(v.text('error'))),
          reason: v.text('name'));
    }
  });

  test('push envelopes', () async {
    for (final v in vectors(all, 'fcm')) {
      final ring = await KeyRing.load(v.text('session'), [v.text('key')]);
      final device = (jsonDecode(v.text('plaintext')) as Vector);
      final sealed = await sealDevice(
        ring,
        v.text('userId'),
        fcmToken: device.text('fcmToken'),
        deviceId: device.text('deviceId'),
        platform: device.text('platform'),
        nonce: v.bytes('nonce'),
      );
      expect(sealed, v.text('encryptedData'));
      expect(hashOf(sealed), v.text('hash'));
    }
  });

  test('suite 2: files', () async {
    for (final v in vectors(suite2, 'files')) {
      final ring = await KeyRing.load(v.text('session'), [v.text('key')]);
      final fileId = v.text('fileId');
      final cipher = await FileCipher.of(ring, fileId, 2);
      final meta = Meta.parse(utf8.encode(v.text('metaJson')));
      expect(utf8.decode(meta.plaintext), v.text('metaJson'));
      expect(await cipher.sealMeta(meta), v.text('meta'));
      final opened = await FileCipher.open(ring, fileId, v.text('meta'));
      expect(opened.meta.name, meta.name);
      expect(opened.meta.sha256, meta.sha256);
      for (final c in (v['chunks'] as List<Object?>? ?? const []).cast<Vector>()) {
        final index = c.number('index'), last = c['last']! as bool;
        expect(hex(chunkNonce(index, last: last)), c.text('nonce'));
        final payload = await cipher.seal(index, c.bytes('plaintext'), last: last);
        expect(hex(payload), c.text('payload'));
        expect(hex(chunkFrame(fileId, index, payload)), c.text('frame'));
        final chunk = Chunk.parse(c.bytes('frame'))!;
        expect((chunk.fileId, chunk.index), (fileId, index));
        expect(hex(await opened.cipher.unseal(index, chunk.payload, last: last)), c.text('plaintext'));
        await expectLater(opened.cipher.unseal(index + 1, payload, last: last), throwsA(coded('authentication')));
        await expectLater(opened.cipher.unseal(index, payload, last: !last), throwsA(coded('authentication')));
      }
    }
  });
}

List<Vector> vectors(Vector from, String name) {
  final list = (from[name]! as List<Object?>).cast<Vector>();
  expect(list, isNotEmpty, reason: name);
  return list;
}

extension on Vector {
  String text(String name) => this[name]! as String;

  int number(String name) => this[name]! as int;

  Uint8List bytes(String name) => unhex(text(name))!;
}

Matcher coded(String code) => isA<FastPortException>().having((err) => err.code, 'code', code);
