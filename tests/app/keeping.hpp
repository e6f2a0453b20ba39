// keeping.hpp: a server that keeps files, for tests of what becomes of them.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "folder.hpp"
#include "served.hpp"

namespace falproxy::test {

inline const std::string picture_route = "/v1/images/generations";
inline const std::string by_address =
    R"({"model":"flux","prompt":"a lighthouse","response_format":"url","size":"64x64","output_format":"png"})";

/// A server that keeps files in a folder, and notes them in another.
struct Keeping {
  explicit Keeping(const std::string& parameters = {}, const app::Environment& more = {},
                   falsim::FalsimOptions options = Served::quick())
      : served(with(parameters, more), falsim::Falsim::start(std::move(options)).value(),
               [](const falsim::Falsim& sim) {
                 return app::Environment{{"FAL_API_URL", sim.api_url()}};
               }) {}

  app::Environment with(const std::string& parameters, const app::Environment& more) const {
    app::Environment all{{"STATE_DIR", folder.at("state")},
                         {"MEDIA_STORE", "dir:" + folder.at("media") + parameters}};
    for (const auto& [name, value] : more) all[name] = value;
    return all;
  }

  [[nodiscard]] Received ask(const std::string& address, const std::string& fields = {},
                             const std::string& method = "GET") const {
    RawClient client(served.port());
    client.send(method + " " + path_of(address) + " HTTP/1.1\r\nHost: a\r\n" + fields +
                "Connection: close\r\n\r\n");
    return client.receive(method != "HEAD");
  }
  [[nodiscard]] static std::string path_of(const std::string& address) {
    return address.starts_with('/') ? address : Url::parse(address).value().target;
  }
  // The address of a picture that is kept.
  [[nodiscard]] std::string kept(const std::string& body = by_address,
                                 std::string_view key = access_key) const {
    RawClient client(served.port());
    const Received got = client.exchange(post(picture_route, body, key_field(key)));
    CAPTURE(got.body);
    REQUIRE(got.status == 200);
    const std::string address = text_at(got.body, "data.0.url");
    REQUIRE(address.find("/media/") != std::string::npos);
    CHECK(got.header("x-falproxy-notes").empty());
    wait_until_kept(key);
    return address;
  }
  void wait_until_kept(std::string_view key = access_key) const {
    std::string list;
    for (int tries = 0; tries < 2000; ++tries) {
      list = listed("", key).body;
      if (list.find("waiting") == std::string::npos) return;
      std::this_thread::sleep_for(Milliseconds(5));
    }
    FAIL(list);
  }
  [[nodiscard]] Received listed(const std::string& query = {},
                                std::string_view key = access_key) const {
    return ask("/v1/falproxy/media" + query, key_field(key));
  }
  [[nodiscard]] std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path() / "media"))
      count += entry.is_regular_file() && entry.path().extension() == ".png" ? 1U : 0U;
    return count;
  }

  testing::Folder folder;
  Served served;
};

inline std::string id_in(const std::string& address) {
  const std::size_t at = address.find("/media/") + 7;
  return address.substr(at, 32);
}

}  // namespace falproxy::test
