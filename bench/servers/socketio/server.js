// The small socket.io server that the comparison runs: rooms are topics, anybody may join and publish.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const [host, port] = process.argv[2].split(":");
const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
io.on("connection", (socket) => {
  socket.on("sub", (topic, done) => {
    socket.join(topic);
    done(1);
  });
  socket.on("pub", (topic, data, done) => {
    io.to(topic).emit("msg", data);
    if (done) done(1);
  });
  socket.on("bin", (topic, data) => io.to(topic).emit("bin", data));
});
http.listen(Number(port), host);
