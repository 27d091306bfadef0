// What the device's own disk does. The web has none of it, and must never see dart:io.
export 'local_none.dart' if (dart.library.io) 'local_disk.dart';
