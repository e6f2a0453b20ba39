#include "falsim.hpp"

#include <thread>
#include <utility>

#include "encoders.hpp"
#include "tls.hpp"
#include "wires.hpp"

namespace falsim {
namespace {}  // namespace

struct Falsim::Impl {
  explicit Impl(falproxy::serving::Reactors made) : reactors(std::move(made)) {}
  ~Impl() {
    timeline.stop();  // what is planned speaks to the wires
    wires.reset();
  }
  [[nodiscard]] falproxy::Result<falproxy::Done> open(FalsimOptions options,
                                                      const Listening& listening);

  const PaintingEncoder encoder;
  const falproxy::serving::Reactors reactors;
  ReactorTimeline timeline{*reactors.front()};
  std::optional<TlsIdentity> tls;
  std::unique_ptr<FalDesk> desk;
  std::unique_ptr<Wires> wires;
  std::string main_url, run_url, elsewhere_url, authority_pem;
};

falproxy::Result<falproxy::Done> Falsim::Impl::open(FalsimOptions options,
                                                    const Listening& listening) {
  auto opened = FalDesk::create(std::move(options), timeline, encoder);
  if (!opened) return opened.error();
  desk = *std::move(opened);
  wires = std::make_unique<Wires>(*desk, reactors);
  if (listening.tls != Tls::none) {
    falproxy::Result<TlsIdentity> made = TlsIdentity::make(listening.tls);
    if (!made) return made.error();
    tls = *std::move(made);
    authority_pem = tls->authority_pem();
  }
  const std::string scheme = tls ? "https" : "http";
  struct Row {
    DeskHost host;
    std::uint16_t port;
    std::string& url;
  };
  for (const Row& row : {Row{DeskHost::main, listening.port, main_url},
                         Row{DeskHost::run, listening.run_port, run_url},
                         Row{DeskHost::elsewhere, 0, elsewhere_url}}) {
    const auto bound =
        wires->listen(listening.host, row.port, tls ? tls->context() : nullptr, row.host);
    if (!bound) return bound.error();
    row.url = falproxy::serving::local_origin(scheme, listening.host, *bound);
  }
  desk->connect(*wires, {scheme, main_url.substr(scheme.size() + 3), elsewhere_url});
  wires->start();
  return falproxy::Done{};
}

falproxy::Result<Falsim> Falsim::start(FalsimOptions options, const Listening& listening) {
  falproxy::serving::Reactors reactors = falproxy::serving::make_reactors({}, 1);
  if (reactors.empty()) {
    return falproxy::Error{falproxy::ErrorKind::internal,
                           "the system gives falsim no epoll or no thread"};
  }
  auto impl = std::make_unique<Impl>(std::move(reactors));
  if (auto opened = impl->open(std::move(options), listening); !opened) return opened.error();
  return Falsim(std::move(impl));
}

Falsim::Falsim(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Falsim::Falsim(Falsim&&) noexcept = default;
Falsim& Falsim::operator=(Falsim&&) noexcept = default;
Falsim::~Falsim() = default;

const std::string& Falsim::url() const noexcept { return impl_->main_url; }
const std::string& Falsim::run_url() const noexcept { return impl_->run_url; }
std::string Falsim::schema_url() const {
  return impl_->main_url + "/api/openapi/queue/openapi.json";
}
const std::string& Falsim::elsewhere_url() const noexcept { return impl_->elsewhere_url; }
const std::string& Falsim::authority_pem() const noexcept { return impl_->authority_pem; }
FalDesk& Falsim::desk() const noexcept { return *impl_->desk; }

std::string Falsim::env() const {
  return "FAL_QUEUE_URL=" + queue_url() + "\nFAL_RUN_URL=" + run_url() +
         "\nFAL_SCHEMA_URL=" + schema_url() + "\nFAL_REST_URL=" + rest_url() +
         "\nFAL_API_URL=" + api_url() + "\nFAL_MEDIA_HOSTS=" + media_hosts() + "\n";
}

bool Falsim::wait_for(const std::function<bool(const FalsimStats&)>& satisfied,
                      Milliseconds within) const {
  const auto end = std::chrono::steady_clock::now() + within;
  while (!satisfied(stats())) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(Milliseconds(2));
  }
  return true;
}

}  // namespace falsim
