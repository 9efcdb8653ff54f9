// An App for Herald's callbacks, with nothing but the JDK, 17 or newer: java App.java
import static java.nio.charset.StandardCharsets.UTF_8;
import com.sun.net.httpserver.*;
import java.net.*;
import java.security.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

class App {
    static final String SECRET = System.getenv().getOrDefault("HERALD_SECRET", ""); // whsec_…, one of Herald's; "" takes all
    static final Set<String> COMMANDS = Set.of("callbackUserOnlineCommand", "callbackUserOfflineCommand", "callbackUserKickOffCommand", "callbackUserBackgroundCommand");
    // The JDK reads no JSON; in the flat objects that Herald sends, these names in quotes stand nowhere else.
    static final Pattern FIELD = Pattern.compile("\"(userID|callbackCommand|seq)\"\\s*:\\s*(?:\"((?:[^\"\\\\]++|\\\\.)*+)\"|(\\d{1,18}))\\s*[,}]");
    record Latest(long seq, boolean online) {}
    static final Map<String, Latest> newest = new ConcurrentSkipListMap<>(); // by user; a real App keeps this in its database

    static String unescaped(String text) {
        return Pattern.compile("\\\\(?:u(\\p{XDigit}{4})|(.))").matcher(text).replaceAll(m -> Matcher.quoteReplacement(
            m.group(1) != null ? "" + (char) Integer.parseInt(m.group(1), 16) : m.group(2).equals("/") ? "/" : m.group().translateEscapes()));
    }
    static boolean signed(Headers headers, byte[] body) throws GeneralSecurityException { // Standard Webhooks
        String id = headers.getFirst("webhook-id"), at = headers.getFirst("webhook-timestamp"), given = headers.getFirst("webhook-signature");
        if (id == null || at == null || given == null || !at.matches("\\d{1,18}")) return false;
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getDecoder().decode(SECRET.replaceFirst("^whsec_", "")), "HmacSHA256"));
        mac.update((id + "." + at + ".").getBytes(UTF_8));
        byte[] good = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(UTF_8);
        return Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(at)) <= 300
            && Arrays.stream(given.split(" ")).anyMatch(one -> MessageDigest.isEqual(one.getBytes(UTF_8), good));
    }
    static int take(HttpExchange call) throws Exception { // After 401 Herald holds everything back until the secrets agree
        byte[] body = call.getRequestBody().readNBytes(65537);
        if (body.length > 65536) return 413;
        if (!SECRET.isEmpty() && !signed(call.getRequestHeaders(), body)) return 401;
        String text = new String(body, UTF_8).strip(), query = "&" + call.getRequestURI().getQuery();
        String command = query.replaceFirst("^.*&command=", "").split("&")[0]; // Herald's stands last
        Map<String, String> words = new HashMap<>(), numbers = new HashMap<>();
        for (Matcher m = FIELD.matcher(text); m.find();) (m.group(2) == null ? numbers : words).put(m.group(1), m.group(m.group(2) == null ? 3 : 2));
        String user = unescaped(words.getOrDefault("userID", ""));
        if (!text.startsWith("{") || !text.endsWith("}") || user.isEmpty() || !numbers.containsKey("seq")) return 400;
        if (!COMMANDS.contains(command) || !command.equals(words.get("callbackCommand"))) return 400;
        Latest now = new Latest(Long.parseLong(numbers.get("seq")), !command.equals("callbackUserOfflineCommand"));
        if (!command.equals("callbackUserKickOffCommand")) // an offline follows it if the user is gone
            newest.merge(user, now, (before, after) -> after.seq > before.seq ? after : before);
        return 200;
    }
    static String page() {
        var online = newest.entrySet().stream().filter(one -> one.getValue().online).map(one -> "\n" + one.getKey()).toList();
        return (online.size() + " online" + String.join("", online)).replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<p>");
    }
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "10006"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", call -> {
            boolean told = call.getRequestMethod().equals("POST");
            int status = 200;
            try { if (told) status = take(call); } catch (Exception notRead) { status = 400; }
            String answer = "{\"actionCode\":%d,\"errCode\":%1$d,\"errMsg\":\"\",\"errDlt\":\"\",\"nextCode\":\"\"}".formatted(status - 200);
            byte[] bytes = (told ? answer : page()).getBytes(UTF_8);
            call.getResponseHeaders().set("Content-Type", told ? "application/json" : "text/html; charset=utf-8");
            call.sendResponseHeaders(status, bytes.length);
            try (call) { call.getResponseBody().write(bytes); }
        });
        server.start();
    }
}
