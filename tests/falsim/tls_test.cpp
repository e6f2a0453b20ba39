#include <filesystem>
#include <fstream>

#include "client.hpp"

using namespace falsim_test;
using falsim::Tls;

namespace {

/// The authority of `sim` in a file that is gone with the value.
class AuthorityFile {
 public:
  explicit AuthorityFile(const Falsim& sim)
      : path_(std::filesystem::temp_directory_path() /
              ("falsim-test-" + sim.url().substr(sim.url().rfind(':') + 1) + ".pem")) {
    std::ofstream(path_) << sim.authority_pem();
  }
  ~AuthorityFile() { std::filesystem::remove(path_); }
  AuthorityFile(const AuthorityFile&) = delete;
  AuthorityFile& operator=(const AuthorityFile&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("over https a job goes its whole way, by name and by address") {
  Falsim sim = start({.job_time = 30ms}, Tls::valid);
  CHECK(sim.url().starts_with("https://127.0.0.1:"));
  const AuthorityFile authority(sim);
  for (const std::string& base :
       {sim.url(), "https://localhost" + sim.url().substr(sim.url().rfind(':'))}) {
    CAPTURE(base);
    Client client(base);
    client.raw().set_ca_cert_path(authority.path());
    const json result = client.finish("fal-ai/flux/dev", {{"prompt", "x"}}).parsed();
    const Heard file = client.get(result["images"][0]["url"], {});
    CHECK(file.status == 200);
    CHECK(file.body.size() > 10'000);
  }
  Client run(sim.run_url());
  run.raw().set_ca_cert_path(authority.path());
  CHECK(run.post("/fal-ai/flux/dev/stream", {{"prompt", "x"}}).body.find("data: ") == 0);
}

TEST_CASE("each bad certificate is refused by a client that looks") {
  for (const Tls mode : {Tls::expired, Tls::wrong_host, Tls::self_signed}) {
    CAPTURE(static_cast<int>(mode));
    Falsim sim = start({.job_time = 0ms}, mode);
    const AuthorityFile authority(sim);
    Client client(sim.url());
    client.raw().set_ca_cert_path(authority.path());
    CHECK(client.get("/_falsim/stats").status == 0);
    CHECK(sim.stats().requests == 0);
    client.raw().enable_server_certificate_verification(false);
    CHECK(client.get("/_falsim/stats").status == 200);
  }
}

TEST_CASE("plain http at a https address is no request") {
  Falsim sim = start({}, Tls::valid);
  Wire wire(sim.url());
  wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  CHECK(wire.read_to_end().find("HTTP/1.1") == std::string::npos);
  CHECK(sim.stats().requests == 0);
}
