// Sends a server what is made to cost it much; tests/bench/memory_law.sh looks at what it cost.
// Usage: hostile PORT KEY ATTACK      without ATTACK: prints their names
//
// Prints the status of each answer, how many of it there were, and the seconds until the last.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t megabyte = 1'000'000;

struct Target {
  std::uint16_t port;
  std::string key;
};

// ---- one request

class Client {
 public:
  explicit Client(const Target& target) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(target.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{.tv_sec = 300, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    open_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // False: the server has had enough.
  bool send(std::string_view bytes) {
    while (open_ && !bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      open_ = n > 0;
      if (open_) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return open_;
  }

  // 0: none came.
  int status() {
    std::string head;
    std::array<char, 4096> bytes;
    while (head.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
      if (n <= 0) break;
      head.append(bytes.data(), static_cast<std::size_t>(n));
    }
    int status = 0;
    if (head.size() > 12) std::from_chars(head.data() + 9, head.data() + 12, status);
    return status;
  }

 private:
  int fd_;
  bool open_ = false;
};

std::string head(const Target& target, std::string_view path, std::string_view type,
                 std::size_t length) {
  std::string text = "POST " + std::string(path) +
                     " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + target.key +
                     "\r\nContent-Type: " + std::string(type) + "\r\n";
  return text +
         (length == 0 ? std::string("Transfer-Encoding: chunked")
                      : "Content-Length: " + std::to_string(length)) +
         "\r\n\r\n";
}

int post(const Target& target, std::string_view path, std::string_view type,
         std::string_view body) {
  Client client(target);
  if (client.send(head(target, path, type, body.size()))) client.send(body);
  return client.status();
}

constexpr std::string_view generations = "/v1/images/generations";
constexpr std::string_view edits = "/v1/images/edits";
constexpr std::string_view json = "application/json";
constexpr std::string_view form = "multipart/form-data; boundary=b";

int post_form(const Target& target, std::string_view body) {
  return post(target, edits, form, body);
}

std::string part(const std::string& disposition, std::string_view content) {
  return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" +
         std::string(content) + "\r\n";
}

// ---- pictures

std::string big_endian(std::uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 0xFF);
  return text;
}

std::string chunk(const std::string& name, const std::string& data) {
  const std::string all = name + data;
  const auto* bytes = reinterpret_cast<const Bytef*>(all.data());
  return big_endian(static_cast<std::uint32_t>(data.size())) + all +
         big_endian(static_cast<std::uint32_t>(crc32(0, bytes, static_cast<uInt>(all.size()))));
}

// Black, with some white; or all transparent. `color_type`: 0 is gray, 6 is red, green, blue and
// alpha.
std::string png(std::uint32_t side, int bits, int color_type, bool interlaced = false) {
  const std::uint32_t channels = color_type == 6 ? 4 : 1;
  const std::size_t row = 1 + (side * channels * static_cast<std::uint32_t>(bits) + 7) / 8;
  // Interlaced, there are more rows than this in all; what is too much does no harm.
  std::string raw(row * side + (interlaced ? row * side : 0), '\0');
  if (color_type == 0) raw[1] = '\xff';
  uLongf size = compressBound(raw.size());
  std::string packed(size, '\0');
  compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
            reinterpret_cast<const Bytef*>(raw.data()), raw.size(), 9);
  packed.resize(size);
  std::string header = big_endian(side) + big_endian(side);
  header += static_cast<char>(bits);
  header += static_cast<char>(color_type);
  header += std::string(2, '\0');
  header += static_cast<char>(interlaced ? 1 : 0);
  return "\x89PNG\r\n\x1A\n" + chunk("IHDR", header) + chunk("IDAT", packed) + chunk("IEND", "");
}

std::string edit(const std::string& picture) {
  return part("name=model", "inpaint") + part("name=prompt", "a") +
         part("name=image; filename=a.png", picture) + part("name=mask; filename=a.png", picture) +
         "--b--\r\n";
}

// ---- attacks

// `count` at once; the statuses that came.
std::map<int, int> at_once(int count, const std::function<int()>& attack) {
  std::map<int, int> statuses;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      const int status = attack();
      const std::lock_guard lock(mutex);
      ++statuses[status];
    });
  }
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

// A text of `piece`s, `size` bytes or a little more.
std::string repeated(const std::string& piece, std::size_t size) {
  std::string text;
  text.reserve(size + piece.size());
  while (text.size() < size) text += piece;
  return text;
}

// `begin`, then `piece` again and again for `size` bytes.
int endless(const Target& target, std::string_view type, const std::string& begin,
            const std::string& piece, std::size_t size) {
  Client client(target);
  client.send(head(target, edits, type, 0));
  const auto send_chunk = [&](std::string_view bytes) {
    std::array<char, 20> length{};
    const auto end = std::to_chars(length.data(), length.data() + 18, bytes.size(), 16).ptr;
    return client.send(std::string(length.data(), end) + "\r\n") && client.send(bytes) &&
           client.send("\r\n");
  };
  const std::string pieces = repeated(piece, megabyte);
  bool open = send_chunk(begin);
  for (std::size_t sent = 0; open && sent < size; sent += pieces.size()) open = send_chunk(pieces);
  return client.status();
}

std::string unknown_fields(const std::string& prompt) {
  std::string body = R"({"model":"flux","prompt":")" + prompt + "\"";
  for (int i = 0; i < 90'000; ++i) body += ",\"f" + std::to_string(i) + "\":1";
  return body + "}";
}

struct Attack {
  std::string_view name;
  std::string_view what;
  std::function<std::map<int, int>(const Target&)> run;
};

std::map<int, int> four_forms(const Target& target, const std::string& body) {
  return at_once(4, [&] { return post_form(target, body); });
}

const std::vector<Attack>& attacks() {
  static const std::vector<Attack> all = {
      {"boundary", "a boundary of 7,900 dashes, 256 kB of dashes",
       [](const Target& target) {
         const std::string type = "multipart/form-data; boundary=" + std::string(7900, '-');
         const std::string body(256'000, '-');
         return at_once(1, [&] { return post(target, edits, type, body); });
       }},
      {"preamble", "a form with a preamble of 40 MB",
       [](const Target& target) {
         return at_once(1, [&] { return post_form(target, std::string(40 * megabyte, 'a')); });
       }},
      {"heads", "4 forms, each with 100 MB of part heads",
       [](const Target& target) {
         return four_forms(
             target,
             "--b\r\n" + repeated("X-Field: " + std::string(1000, 'a') + "\r\n", 100 * megabyte));
       }},
      {"parts", "4 forms, each with 100 MB of empty parts",
       [](const Target& target) {
         return four_forms(target, repeated(part("name=a", ""), 100 * megabyte) + "--b--");
       }},
      {"texts", "4 forms, each with 90 MB of JSON in text fields",
       [](const Target& target) {
         const std::string array = "[" + repeated("0,", megabyte - 100) + "0]";
         std::string body;
         for (int i = 0; i < 90; ++i) body += part("name=f" + std::to_string(i), array);
         return four_forms(target, body + "--b--");
       }},
      {"epilogue", "4 forms that go on for 500 MB after their end",
       [](const Target& target) {
         return at_once(4, [&] {
           return endless(target, form, part("name=prompt", "a") + "--b--", "a", 500 * megabyte);
         });
       }},
      {"endless", "4 pictures of 500 MB in chunks",
       [](const Target& target) {
         return at_once(4, [&] {
           return endless(target, form,
                          "--b\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n",
                          "a", 500 * megabyte);
         });
       }},
      {"masks8", "8 edits, picture and mask of 6,300 x 6,300 in 1 bit",
       [](const Target& target) {
         const std::string body = edit(png(6300, 1, 0));
         return at_once(8, [&] { return post_form(target, body); });
       }},
      {"masks60", "60 edits, picture and mask of 6,300 x 6,300 in 32 bits",
       [](const Target& target) {
         const std::string body = edit(png(6300, 8, 6));
         return at_once(60, [&] { return post_form(target, body); });
       }},
      {"interlaced", "60 edits, picture and mask of 6,300 x 6,300, interlaced",
       [](const Target& target) {
         const std::string body = edit(png(6300, 1, 0, true));
         return at_once(60, [&] { return post_form(target, body); });
       }},
      {"camera", "1 edit, picture and mask of 48 megapixels",
       [](const Target& target) {
         const std::string body = edit(png(6928, 8, 6));
         return at_once(1, [&] { return post_form(target, body); });
       }},
      {"inline", "60 edits in JSON with a picture of 20 MB each",
       [](const Target& target) {
         // The head of a JPEG, and whatever.
         std::string base64 = "/9j/wAARCAABAAEDASIAAhEBAxEB" + std::string(20 * megabyte, 'A');
         base64.resize(base64.size() / 4 * 4);
         const std::string body =
             R"({"model":"flux","prompt":"a","image":"data:image/jpeg;base64,)" + base64 + "\"}";
         return at_once(60, [&] { return post(target, edits, json, body); });
       }},
      {"notes", "150 requests of 1 MB with 90,000 unknown fields",
       [](const Target& target) {
         std::map<int, int> all_statuses;
         for (int i = 0; i < 15; ++i) {
           const auto statuses = at_once(10, [&] {
             return post(target, generations, json, unknown_fields(std::to_string(i)));
           });
           for (const auto& [status, count] : statuses) all_statuses[status] += count;
         }
         return all_statuses;
       }},
      {"names", "4 requests with a field name of 20 MB twice, and a model's name of 1 MB",
       [](const Target& target) {
         const std::string name(20 * megabyte, 'n');
         const std::string twice =
             R"({"model":"flux","prompt":"a",")" + name + R"(":1,")" + name + R"(":1})";
         auto statuses = at_once(4, [&] { return post(target, generations, json, twice); });
         const std::string model =
             R"({"prompt":"a","model":")" + std::string(megabyte - 100, 'm') + "\"}";
         for (const auto& [status, count] :
              at_once(4, [&] { return post(target, generations, json, model); }))
           statuses[status] += count;
         return statuses;
       }},
      {"values", "4 bodies of 60 MB of JSON values",
       [](const Target& target) {
         const std::string body =
             R"({"model":"flux","prompt":"a","x":[)" + repeated("0,", 60 * megabyte) + "0]}";
         return at_once(4, [&] { return post(target, generations, json, body); });
       }},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    for (const Attack& attack : attacks())
      std::printf("%.*s\n", static_cast<int>(attack.name.size()), attack.name.data());
    return argc < 2 ? 0 : 2;
  }
  const Target target{static_cast<std::uint16_t>(std::stoi(argv[1])), argv[2]};
  const auto attack = std::ranges::find(attacks(), std::string_view(argv[3]), &Attack::name);
  if (attack == attacks().end()) return 2;
  const auto before = std::chrono::steady_clock::now();
  const std::map<int, int> statuses = attack->run(target);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
  std::printf("%.*s|", static_cast<int>(attack->what.size()), attack->what.data());
  for (const auto& [status, count] : statuses) std::printf("%d x %d ", count, status);
  std::printf("|%.1f\n", took.count());
  return 0;
}
