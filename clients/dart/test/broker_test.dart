// The client against a real broker: fastport serve, at FASTPORT_URL or http://localhost:3000.
import 'dart:async';
import 'dart:io';

import 'package:fastport_client/fastport_client.dart';
import 'package:fastport_client/src/crypto/bytes.dart';
import 'package:fastport_client/src/frames.dart';
import 'package:test/test.dart';

final server = Platform.environment['FASTPORT_URL'] ?? 'http://localhost:3000';

void main() {
  late String session;
  late String key;
  late List<FastPort> clients;

  FastPort client({String? clientId, int suite = 2, bool allowLegacy = false, String? aesKey}) {
    final c = FastPort(
      serverUrl: server,
      sessionName: session,
      password: 'secure_pass_123',
      aesKey: aesKey ?? key,
      clientId: clientId,
      suite: suite,
      allowLegacy: allowLegacy,
      backoffMin: 20,
      onError: (_) {},
    );
    clients.add(c);
    return c;
  }

  setUp(() async {
    session = 'dart_${newUuid()}';
    key = generateKey();
    clients = [];
    await createSession(server, sessionName: session, password: 'secure_pass_123', aesKey: key);
  });

  tearDown(() => Future.wait([for (final c in clients) c.close()]));

  for (final suite in [1, 2]) {
    test('suite $suite: a message and a file arrive', () async {
      final alice = client(suite: suite), bob = client(allowLegacy: true);
      await Future.wait([alice.init(), bob.init()]);
      final text = Completer<String>();
      final file = Completer<(String, List<int>)>();
      await bob.get('room', (message, timestamp) => text.complete(message));
      await bob.onFile('files', (name, data) => file.complete((name, data)));
      final receipt = await alice.emit('room', 'Hello 👋');
      expect(receipt.tries, 1);
      expect(await text.future, 'Hello 👋');
      final content = randomBytes(200000);
      await alice.sendFile(content, 'files', name: 'a.bin');
      final (name, data) = await file.future;
      expect(name, 'a.bin');
      expect(data, content);
    });
  }

  test('a wrong key fails at init', () async {
    await expectLater(client(aesKey: generateKey()).init(),
        throwsA(isA<FastPortException>().having((err) => err.code, 'code', 'key_mismatch')));
  });

  test('what came while a durable subscriber was away waits for it', () async {
    final away = client(clientId: 'bob'), alice = client();
    await Future.wait([away.init(), alice.init()]);
    await away.get('room', (message, timestamp) {});
    await away.close();
    for (var i = 0; i < 20; i++) {
      await alice.emit('room', '$i');
    }
    final back = client(clientId: 'bob');
    await back.init();
    final got = await back.messages('room').map((m) => m.text).take(20).toList();
    expect(got, [for (var i = 0; i < 20; i++) '$i']);
  });

  test('a handler that fails has its message come again', () async {
    final alice = client(), bob = client();
    await Future.wait([alice.init(), bob.init()]);
    var tries = 0;
    final done = Completer<void>();
    await bob.get('room', (message, timestamp) {
      if (++tries == 1) throw StateError('not yet');
      done.complete();
    });
    await alice.emit('room', 'x');
    await done.future;
    expect(tries, 2);
  });

  test('a file goes to a directory, under a name of its own', () async {
    final folder = await Directory.systemTemp.createTemp('fastport-dart-');
    addTearDown(() => folder.delete(recursive: true));
    final alice = client(), bob = client();
    await Future.wait([alice.init(), bob.init()]);
    final paths = StreamController<String>();
    await bob.receiveFiles('files', save: toDirectory(folder.path), handler: (offer, path) => paths.add(path));
    final content = randomBytes(300000);
    final source = File('${folder.path}/sent.bin')..writeAsBytesSync(content);
    await alice.sendFile(source.path, 'files', name: '../b.bin');
    await alice.sendFile(source.path, 'files', name: 'b.bin');
    final came = await paths.stream.take(2).toList();
    expect([for (final path in came) path.split('/').last], ['b.bin', 'b (1).bin']);
    for (final path in came) {
      expect(File(path).readAsBytesSync(), content);
    }
  });

  test('devices are registered, listed and forgotten', () async {
    final c = client();
    await c.init();
    await c.registerFCMToken(userId: 'alice', fcmToken: 'mock', deviceId: 'phone', platform: 'android');
    final devices = await c.getRegisteredDevices('alice');
    expect([for (final d in devices) (d.deviceId, d.platform)], [('phone', 'android')]);
    await c.unregisterFCMToken(userId: 'alice', deviceId: 'phone');
    expect(await c.getRegisteredDevices('alice'), isEmpty);
  });
}
