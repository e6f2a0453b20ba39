// What an exchange costs the sender: resident memory while it holds a stream, and CPU time from
// request to answer. cpp-httplib's client is measured beside it, and threads that do nothing as the
// floor.
//
// usage: bench_transport [held streams] [exchanges]
#include <arpa/inet.h>
#include <httplib.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "falproxy/http_transport.hpp"

namespace {

using namespace falproxy;
using Clock = std::chrono::steady_clock;

constexpr std::size_t stack_bytes = 64 * 1024;
constexpr std::string_view held_answer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
    "chunked\r\nx-fal-request-id: "
    "0123456789\r\n\r\n20\r\ndata: {\"status\":\"IN_PROGRESS\"}\n\n\r\n";
constexpr std::string_view short_answer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\nx-fal-request-id: "
    "0123456789\r\n\r\n{\"status\":\"COMPLETED\"}";

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// ---- The server: a process of its own, so that its memory and time are not counted. ----

SSL_CTX* make_server_context(const char* ca_file) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("bench"), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  X509_EXTENSION* names =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
  X509_add_ext(certificate, names, -1);
  X509_sign(certificate, key, EVP_sha256());
  std::FILE* out = std::fopen(ca_file, "w");
  PEM_write_X509(out, certificate);
  std::fclose(out);
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  return context;
}

struct Peer {
  int socket = -1;
  SSL* ssl = nullptr;
  bool ready = false;
  std::string unread = {};
};

bool serve_what_came(Peer& peer) {
  if (peer.ssl != nullptr && !peer.ready) {
    const int result = SSL_accept(peer.ssl);
    if (result != 1) return SSL_get_error(peer.ssl, result) == SSL_ERROR_WANT_READ;
    peer.ready = true;
  }
  char buffer[8192];
  while (true) {
    const int n = peer.ssl != nullptr
                      ? SSL_read(peer.ssl, buffer, sizeof(buffer))
                      : static_cast<int>(::recv(peer.socket, buffer, sizeof(buffer), 0));
    if (n <= 0) {
      if (peer.ssl != nullptr) return SSL_get_error(peer.ssl, n) == SSL_ERROR_WANT_READ;
      return n < 0 && errno == EAGAIN;
    }
    peer.unread.append(buffer, static_cast<std::size_t>(n));
    for (std::size_t end = peer.unread.find("\r\n\r\n"); end != std::string::npos;
         end = peer.unread.find("\r\n\r\n")) {
      const std::string_view answer =
          peer.unread.starts_with("GET /hold") ? held_answer : short_answer;
      peer.unread.erase(0, end + 4);
      if (peer.ssl != nullptr) {
        SSL_write(peer.ssl, answer.data(), static_cast<int>(answer.size()));
      } else if (::send(peer.socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) {
        return false;
      }
    }
  }
}

[[noreturn]] void serve(int listener, SSL_CTX* tls) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int poller = ::epoll_create1(0);
  epoll_event event{EPOLLIN, {.fd = listener}};
  ::epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  std::unordered_map<int, Peer> peers;
  while (true) {
    epoll_event events[256];
    const int count = ::epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == listener) {
        const int socket = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        if (socket < 0) continue;
        const int on = 1;
        ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        Peer& peer = peers[socket];
        peer = {socket};
        if (tls != nullptr) {
          peer.ssl = SSL_new(tls);
          SSL_set_fd(peer.ssl, socket);
        }
        epoll_event added{EPOLLIN, {.fd = socket}};
        ::epoll_ctl(poller, EPOLL_CTL_ADD, socket, &added);
      } else if (Peer& peer = peers[events[i].data.fd]; !serve_what_came(peer)) {
        if (peer.ssl != nullptr) SSL_free(peer.ssl);
        ::close(peer.socket);
        peers.erase(events[i].data.fd);
      }
    }
  }
}

struct Server {
  Server(bool with_tls, const std::string& ca_file) : tls(with_tls) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener, 4096) != 0)
      fail("listen");
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    SSL_CTX* context = tls ? make_server_context(ca_file.c_str()) : nullptr;
    pid = ::fork();
    if (pid == 0) serve(listener, context);
    ::close(listener);
    SSL_CTX_free(context);
  }
  ~Server() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  [[nodiscard]] std::string url() const {
    return (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port);
  }

  bool tls;
  int port = 0;
  pid_t pid = -1;
};

// ---- The senders. ----

// Sends one GET; calls `heard` with each piece of the body, and ends when that says no.
using Heard = std::function<bool(std::string_view)>;
using Send = std::function<bool(const std::string& target, const Heard& heard)>;
// One Send a thread.
using MakeSender = std::function<Send()>;

class Sink final : public ResponseSink {
 public:
  explicit Sink(const Heard& heard) : heard_(heard) {}
  bool head(HttpHead head) override { return head.status == 200; }
  bool data(std::string_view bytes) override { return heard_(bytes); }

 private:
  const Heard& heard_;
};

MakeSender falproxy_sender(Transport& transport, const std::string& url) {
  return [&transport, url]() -> Send {
    return [&transport, url](const std::string& target, const Heard& heard) {
      Sink sink(heard);
      const HttpRequest request{"GET", url + target, {{"Authorization", "Key 0123456789:abcdef"}}};
      return transport.send(request, Clock::now() + std::chrono::minutes(10), {}, sink).has_value();
    };
  };
}

MakeSender httplib_sender(const std::string& url, const std::string& ca_file) {
  return [url, ca_file]() -> Send {
    auto client = std::make_shared<httplib::Client>(url);
    client->set_keep_alive(true);
    client->set_read_timeout(std::chrono::minutes(10));
    if (url.starts_with("https")) client->set_ca_cert_path(ca_file);
    return [client](const std::string& target, const Heard& heard) {
      const auto result =
          client->Get(target, httplib::Headers{{"Authorization", "Key 0123456789:abcdef"}},
                      [&](const char* data, size_t size) { return heard({data, size}); });
      return result && result->status == 200;
    };
  };
}

// ---- The measurements. ----

double resident_kb() {
  ::malloc_trim(0);
  std::FILE* in = std::fopen("/proc/self/statm", "r");
  long total = 0, resident = 0;
  if (in == nullptr || std::fscanf(in, "%ld %ld", &total, &resident) != 2) fail("statm");
  std::fclose(in);
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1024;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Threads with small stacks, as the server has them.
class Threads {
 public:
  void start(const std::function<void()>& task) {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, stack_bytes);
    pthread_t thread{};
    const auto run = [](void* argument) -> void* {
      const std::unique_ptr<std::function<void()>> own(
          static_cast<std::function<void()>*>(argument));
      (*own)();
      return nullptr;
    };
    if (::pthread_create(&thread, &attributes, run, new std::function<void()>(task)) != 0)
      fail("pthread_create");
    ::pthread_attr_destroy(&attributes);
    threads_.push_back(thread);
  }
  void join() {
    for (const pthread_t thread : threads_) ::pthread_join(thread, nullptr);
    threads_.clear();
  }

 private:
  std::vector<pthread_t> threads_;
};

// Resident memory for each of `count` threads that hold a stream.
double kb_per_held_stream(const MakeSender& make_sender, int count) {
  std::atomic<int> held{0};
  std::atomic<bool> end{false};
  std::atomic<int> failed{0};
  Threads threads;
  make_sender()("/warm-up", [](std::string_view) { return true; });
  const double before = resident_kb();
  for (int i = 0; i < count; ++i) {
    while (i - held - failed > 64)
      ::usleep(100);  // no more handshakes at once than the server can take
    threads.start([&] {
      const Send send = make_sender();
      bool heard = false;
      send("/hold", [&](std::string_view) {
        heard = true;
        ++held;
        return !end;
      });
      if (!heard) ++failed;
    });
  }
  while (held + failed < count) ::usleep(1000);
  if (failed > 0) std::fprintf(stderr, "%d of %d failed\n", failed.load(), count);
  const double after = resident_kb();
  end = true;
  return (after - before) / count;
}

double kb_per_idle_thread(int count) {
  std::mutex mutex;
  std::condition_variable changed;
  bool end = false;
  int begun = 0;
  Threads threads;
  const double before = resident_kb();
  for (int i = 0; i < count; ++i) {
    threads.start([&] {
      std::unique_lock lock(mutex);
      ++begun;
      changed.wait(lock, [&] { return end; });
    });
  }
  while (true) {
    const std::lock_guard lock(mutex);
    if (begun == count) break;
  }
  const double after = resident_kb();
  {
    const std::lock_guard lock(mutex);
    end = true;
  }
  changed.notify_all();
  threads.join();
  return (after - before) / count;
}

double microseconds_per_exchange(const MakeSender& make_sender, int count, int thread_count) {
  const auto run = [&](int exchanges) {
    Threads threads;
    for (int t = 0; t < thread_count; ++t) {
      threads.start([&, exchanges] {
        const Send send = make_sender();
        for (int i = 0; i < exchanges / thread_count; ++i) {
          if (!send("/requests/0123456789/status?logs=0", [](std::string_view) { return true; }))
            fail("exchange");
        }
      });
    }
    threads.join();
  };
  run(thread_count * 10);
  const double before = cpu_seconds();
  run(count);
  return (cpu_seconds() - before) * 1e6 / count;
}

// In a process of its own, so that one measurement leaves nothing behind for the next.
double apart(const std::function<double()>& measure) {
  int ends[2];
  if (::pipe(ends) != 0) fail("pipe");
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const double value = measure();
    if (::write(ends[1], &value, sizeof(value)) != sizeof(value)) std::_Exit(1);
    std::_Exit(0);
  }
  double value = 0;
  ::close(ends[1]);
  if (::read(ends[0], &value, sizeof(value)) != sizeof(value)) value = -1;
  ::close(ends[0]);
  ::waitpid(pid, nullptr, 0);
  return value;
}

}  // namespace

int main(int count, char** arguments) {
  const int held = count > 1 ? std::atoi(arguments[1]) : 2000;
  const int exchanges = count > 2 ? std::atoi(arguments[2]) : 20000;
  ::signal(SIGPIPE, SIG_IGN);
  const std::string ca_file = "/tmp/falproxy-bench-" + std::to_string(::getpid()) + ".pem";
  std::printf("%d held streams, %d exchanges\n", held, exchanges);
  std::printf("%-28s %8.1f kB each\n", "idle threads",
              apart([&] { return kb_per_idle_thread(held); }));
  for (const bool tls : {false, true}) {
    const Server server(tls, ca_file);
    for (const bool own : {true, false}) {
      const auto with_sender = [&](const std::function<double(const MakeSender&)>& measure) {
        return apart([&] {
          Result<std::unique_ptr<HttpTransport>> transport =
              HttpTransport::create({.ca_file = tls ? ca_file : ""});
          if (!transport) fail(transport.error().message.c_str());
          return measure(own ? falproxy_sender(**transport, server.url())
                             : httplib_sender(server.url(), ca_file));
        });
      };
      const double kb =
          with_sender([&](const MakeSender& make) { return kb_per_held_stream(make, held); });
      const double alone = with_sender(
          [&](const MakeSender& make) { return microseconds_per_exchange(make, exchanges, 1); });
      const double together = with_sender(
          [&](const MakeSender& make) { return microseconds_per_exchange(make, exchanges, 32); });
      const std::string name =
          std::string(own ? "falproxy" : "httplib::Client") + (tls ? ", https" : ", http");
      std::printf("%-28s %8.1f kB each %8.1f us CPU alone %8.1f us CPU by 32 threads\n",
                  name.c_str(), kb, alone, together);
    }
  }
  std::remove(ca_file.c_str());
}
