#include "connection/front.hpp"

#include <atomic>
#include <cerrno>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "connection/event_loop.hpp"
#include "connection/http_engine.hpp"

namespace falproxy::app {

struct Front::Impl {
  Impl(Options given, Application& application, Workers& workers, Fibers& fibers)
      : options(std::move(given)),
        loop(options, application, workers, fibers, engine),
        engine(application, [this](int fd) { loop.adopt(fd); }) {}

  Options options;
  EventLoop loop;
  HttpEngine engine;
  std::uint16_t port = 0;
  std::atomic<bool> drains{false};
  std::thread accepting;
  std::thread looping;
};

Front::Front(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Front>> Front::create(Options options, Application& application,
                                             Workers& workers, Fibers& fibers) {
  auto impl = std::make_unique<Impl>(std::move(options), application, workers, fibers);
  const std::optional<std::uint16_t> port =
      impl->engine.bind(impl->options.host, impl->options.port);
  if (!port) {
    const int fault = errno;
    const bool of_the_port = fault == EADDRINUSE || fault == EACCES;
    return Error{.kind = ErrorKind::invalid_settings,
                 .message = "cannot listen on " + impl->options.host + ":" +
                            std::to_string(impl->options.port) + ": " +
                            std::generic_category().message(fault) + "; " +
                            (of_the_port ? "choose another port, or stop what listens there"
                                         : "write an address of this machine, such as 0.0.0.0"),
                 .field = of_the_port ? "PORT" : "HOST"};
  }
  impl->port = *port;
  if (!impl->loop.open()) {
    return Error{.kind = ErrorKind::invalid_settings,
                 .message = "epoll: " + std::generic_category().message(errno)};
  }
  return std::unique_ptr<Front>(new Front(std::move(impl)));
}

Front::~Front() {
  drain();
  impl_->loop.finish();
  if (impl_->looping.joinable()) impl_->looping.join();
}

void Front::start() {
  impl_->looping = std::thread([impl = impl_.get()] { impl->loop.run(); });
  impl_->accepting = std::thread([impl = impl_.get()] { impl->engine.accept_connections(); });
}

std::uint16_t Front::port() const noexcept { return impl_->port; }

void Front::drain() {
  if (impl_->drains.exchange(true)) return;
  impl_->loop.drain();
  if (impl_->accepting.joinable()) {
    impl_->engine.stop_accepting();
    impl_->accepting.join();
  } else {
    impl_->engine.close_listener();
  }
}

void Front::stop_requests() { impl_->loop.stop_requests(); }

Front::Counters Front::counters() const noexcept { return impl_->loop.counters(); }

}  // namespace falproxy::app
