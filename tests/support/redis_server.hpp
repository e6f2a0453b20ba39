// redis_server.hpp: a redis-server of a test's own, on a free port.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace falproxy::tests {

/// Gone, with its folder, when this goes.
class RedisServer {
 public:
  /// False: there is no redis-server here, and the test is left out. FALPROXY_REDIS_SERVER names
  /// another program than the one on the path, such as a valkey-server.
  [[nodiscard]] static bool is_there() {
    if (std::getenv("FALPROXY_REDIS_SERVER") != nullptr) return true;
    for (const char* path : {"/usr/bin/redis-server", "/usr/local/bin/redis-server"}) {
      if (::access(path, X_OK) == 0) return true;
    }
    std::cout << "skipped: no redis-server\n";
    return false;
  }

  explicit RedisServer(std::vector<std::string> options = {})
      : RedisServer(std::move(options), {}) {}
  /// One of Sentinel, that looks after the master on that port, which it calls "master".
  [[nodiscard]] static std::unique_ptr<RedisServer> sentinel(std::uint16_t master) {
    const std::string conf = "sentinel monitor master 127.0.0.1 " + std::to_string(master) +
                             " 1\nsentinel down-after-milliseconds master 500\n"
                             "sentinel failover-timeout master 5000\n";
    return std::unique_ptr<RedisServer>(new RedisServer({"--sentinel"}, conf));
  }
  ~RedisServer() {
    stop();
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::string address() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::string socket() const { return (folder_ / "redis.sock").string(); }

  /// On the same port; what it had is gone, unless `options` say otherwise.
  void start() {
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      const int null = ::open("/dev/null", O_RDWR);
      for (const int fd : {0, 1, 2}) ::dup2(null, fd);
      const char* const other = std::getenv("FALPROXY_REDIS_SERVER");
      std::vector<std::string> words{other != nullptr ? other : "redis-server"};
      if (!conf_.empty()) words.push_back(conf_);
      words.insert(words.end(), {"--port", std::to_string(port_), "--bind", "127.0.0.1", "--dir",
                                 folder_.string()});
      if (conf_.empty()) words.insert(words.end(), {"--unixsocket", socket(), "--save", ""});
      words.insert(words.end(), options_.begin(), options_.end());
      std::vector<char*> all;
      for (std::string& word : words) all.push_back(word.data());
      all.push_back(nullptr);
      ::execvp(all[0], all.data());
      ::_exit(127);
    }
    for (int tries = 0; tries < 1'000 && !answers(); ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    REQUIRE(answers());
  }
  /// At once, as a power failure would.
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  /// A figure of INFO, such as "total_net_input_bytes" or "cmdstat_evalsha:calls".
  [[nodiscard]] long long figure(const std::string& name) const {
    const std::string text = told("INFO ALL");
    const std::size_t at = text.find("\n" + name);
    REQUIRE(at != std::string::npos);
    return std::atoll(text.c_str() + at + name.size() + 2);
  }
  /// How many records of runs hold a word.
  [[nodiscard]] int records_with(const std::string& word) const {
    const std::string answer = told(
        "EVAL \"local n=0 for _,k in ipairs(redis.call('KEYS','falproxy:r:*')) do "
        "if string.find(redis.call('GET',k),ARGV[1],1,true) then n=n+1 end end return n\" 0 " +
        word);
    REQUIRE(answer.starts_with(":"));
    return std::atoi(answer.c_str() + 1);
  }
  /// What it says to a command, as it says it.
  [[nodiscard]] std::string says(const std::string& command) const { return told(command); }
  /// It keeps its connections, and answers nothing.
  void pause() const { ::kill(pid_, SIGSTOP); }
  void go_on() const { ::kill(pid_, SIGCONT); }

 private:
  RedisServer(std::vector<std::string> options, const std::string& conf)
      : options_(std::move(options)) {
    char name[] = "/tmp/falproxy-redis-XXXXXX";
    folder_ = ::mkdtemp(name);
    if (!conf.empty()) {
      conf_ = folder_ / "sentinel.conf";
      std::ofstream(conf_) << conf;
    }
    // A Redis Cluster also takes the port that is higher by 10,000.
    do port_ = free_port();
    while (port_ > 55'000);
    start();
  }
  [[nodiscard]] static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  [[nodiscard]] static std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
  }
  // Whoever else has the port now is another process.
  [[nodiscard]] bool answers() const {
    const std::string info = told("INFO SERVER");
    return info.starts_with("-NOAUTH") ||
           info.find("process_id:" + std::to_string(pid_) + "\r\n") != std::string::npos;
  }
  // What it says to a command; empty: there is no connection.
  [[nodiscard]] std::string told(const std::string& command) const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port_);
    std::string text;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      const ::timeval patience{5, 0};  // who is no Redis may say nothing
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
      const std::string ask = command + "\r\nQUIT\r\n";
      const bool is_sent =
          ::send(fd, ask.data(), ask.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(ask.size());
      char bytes[4096];
      for (ssize_t n = is_sent ? 1 : 0; n > 0;) {
        n = ::recv(fd, bytes, sizeof(bytes), 0);
        if (n > 0) text.append(bytes, static_cast<std::size_t>(n));
      }
    }
    ::close(fd);
    return text;
  }

  const std::vector<std::string> options_;
  std::filesystem::path folder_, conf_;
  std::uint16_t port_ = 0;
  ::pid_t pid_ = 0;
};

}  // namespace falproxy::tests
