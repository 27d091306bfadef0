// A complete chat: two clients in one program, messages and a file. Run a broker (fastport serve), put a document.pdf into the
// working directory, and then: dart run example/main.dart
import 'dart:convert';
import 'dart:io';

import 'package:fastport_client/fastport_client.dart';

void main() async {
  // 1. Generate encryption key (do this ONCE, store securely!)
  final aesKey = generateKey();

  // 2. Create session (run once)
  await createSession('my_chat', 'password123', aesKey);

  // 3. Connect clients
  final alice = FastPort(
    serverUrl: 'ws://localhost:3000',
    sessionName: 'my_chat',
    password: 'password123',
    aesKey: aesKey,
  );

  final bob = FastPort(
    serverUrl: 'ws://localhost:3000',
    sessionName: 'my_chat',
    password: 'password123',
    aesKey: aesKey,
  );

  await alice.init();
  await bob.init();

  // 4. Bob subscribes
  bob.get('chat/room1', (message, timestamp) {
    print('[Bob received]: $message');
  });

  // 5. Alice sends
  await Future.delayed(Duration(seconds: 1)); // Wait for subscription
  await alice.emit('chat/room1', 'Hello Bob!');

  // 6. Send a file
  await bob.onFile('files/shared', (fileName, fileData) {
    print('[Bob received file]: $fileName (${fileData.length} bytes)');
    File('received_$fileName').writeAsBytesSync(fileData);
  });

  await alice.sendFile('document.pdf', 'files/shared');

  // Keep alive
  await Future.delayed(Duration(seconds: 5));
  alice.close();
  bob.close();
}

Future<void> createSession(String name, String pass, String key) async {
  final client = HttpClient();
  final request = await client.postUrl(Uri.parse('http://localhost:3000/api/createSession'));
  request.headers.contentType = ContentType.json;
  request.write(jsonEncode({
    'sessionName': name,
    'password': pass,
    'retryInterval': 5000,
    'maxRetryLimit': 100,
    'encryptionKey': key,
    'messageExpiryTime': 3600000,
  }));
  await request.close();
  client.close();
}
