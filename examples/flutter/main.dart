// A chat in Flutter: one screen, one room. In a new app (flutter create chat), put this file in lib/, add fastport_client to its pubspec.yaml,
// and run it with the session that `fastport session create` made:
//
//   flutter run --dart-define=SERVER=wss://chat.example.com --dart-define=SESSION=my_chat \
//     --dart-define=PASSWORD=password123 --dart-define=KEY=...
import 'dart:async';

import 'package:fastport_client/fastport_client.dart';
import 'package:flutter/material.dart';

void main() => runApp(const MaterialApp(title: 'fastPort', home: ChatPage()));

class ChatPage extends StatefulWidget {
  const ChatPage({super.key});

  @override
  State<ChatPage> createState() => _ChatPageState();
}

class _ChatPageState extends State<ChatPage> {
  final _text = TextEditingController();
  final _lines = <String>[];
  var _state = FastPortState.disconnected;

  late final _client = FastPort(
    serverUrl: const String.fromEnvironment('SERVER', defaultValue: 'ws://localhost:3000'),
    sessionName: const String.fromEnvironment('SESSION'),
    password: const String.fromEnvironment('PASSWORD'),
    aesKey: const String.fromEnvironment('KEY'), // a real app keeps it in the platform's key store
    clientId: const String.fromEnvironment('DEVICE', defaultValue: 'phone'), // what comes while the app is away waits for it
    wait: true,
    onState: (state) {
      if (mounted) setState(() => _state = state);
    },
    onError: (err) => debugPrint('$err'),
  );

  @override
  void initState() {
    super.initState();
    unawaited(_join());
  }

  Future<void> _join() async {
    try {
      await _client.init();
      await _client.get('chat/room1', (message, timestamp) => _add(message));
    } on FastPortException catch (err) {
      _add('(${err.message})');
    }
  }

  Future<void> _say() async {
    final text = _text.text.trim();
    if (text.isEmpty) return;
    _text.clear();
    try {
      await _client.emit('chat/room1', text); // kept and sent again until the broker has it
      _add('me: $text');
    } on FastPortException catch (err) {
      _add('not sent: $text (${err.message})');
    }
  }

  void _add(String line) {
    if (mounted) setState(() => _lines.add(line));
  }

  @override
  void dispose() {
    unawaited(_client.close());
    _text.dispose();
    super.dispose();
  }

  @override
  Widget build(BuildContext context) => Scaffold(
        appBar: AppBar(title: Text('my_chat: ${_state.name}')),
        body: Column(
          children: [
            Expanded(
              child: ListView(
                reverse: true,
                padding: const EdgeInsets.all(16),
                children: [for (final line in _lines.reversed) Text(line)],
              ),
            ),
            SafeArea(
              child: Padding(
                padding: const EdgeInsets.all(8),
                child: Row(
                  children: [
                    Expanded(child: TextField(controller: _text, onSubmitted: (_) => _say())),
                    IconButton(icon: const Icon(Icons.send), onPressed: _say),
                  ],
                ),
              ),
            ),
          ],
        ),
      );
}
