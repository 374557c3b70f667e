package spandrel;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/**
 * A service that knows nothing of telemetry: it answers {@code GET /}, after calling {@code DOWNSTREAM} when that is
 * set. The Java agent is attached from outside. The port it got is the first line on standard output; it ends when
 * its standard input does.
 */
public final class Service {
  private static final HttpClient CLIENT =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  private Service() {}

  public static void main(String[] arguments) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", Service::handle);
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.start();
    System.out.println(server.getAddress().getPort());
    while (System.in.read() >= 0) {
      // Nothing is ever written to us: the end of the stream is the word to stop.
    }
    System.exit(0);
  }

  private static void handle(HttpExchange exchange) throws IOException {
    try {
      byte[] body = downstream().getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      exchange.sendResponseHeaders(503, -1);
    } finally {
      exchange.close();
    }
  }

  private static String downstream() throws IOException, InterruptedException {
    String address = System.getenv("DOWNSTREAM");
    if (address == null) {
      return "java";
    }
    HttpRequest request = HttpRequest.newBuilder(URI.create(address)).build();
    return "java+" + CLIENT.send(request, HttpResponse.BodyHandlers.ofString()).body();
  }
}
