// s3_store.hpp: kept files in a bucket of Amazon's S3, or of whatever speaks like it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/settings.hpp"
#include "falproxy/transport.hpp"
#include "media_store/aws_signature.hpp"
#include "media_store/media_store.hpp"

namespace falproxy::app {

/// Files of up to `part_bytes` are put at once, larger ones in parts: so much of each is held in
/// memory on its way. Clients fetch files from the bucket itself, by presigned links.
class S3Store final : public MediaStore {
 public:
  static constexpr std::size_t part_bytes = 8u << 20;

  /// `clock` and `transport` outlive it. Errors: invalid_settings (AWS_ACCESS_KEY_ID or
  /// AWS_SECRET_ACCESS_KEY is missing).
  [[nodiscard]] static Result<std::unique_ptr<S3Store>> create(const MediaPlace& place,
                                                               AwsIdentity identity,
                                                               Transport& transport, Clock& clock);

  [[nodiscard]] Result<std::unique_ptr<MediaWriter>> begin(const std::string& name,
                                                           const StoreWait& wait) override;
  [[nodiscard]] std::unique_ptr<MediaReader> open(const std::string&) override { return nullptr; }
  [[nodiscard]] std::optional<std::string> link(const std::string& name, std::string_view method,
                                                Seconds lifetime) const override;
  [[nodiscard]] Result<Done> remove(const std::string& name, const StoreWait& wait) override;
  [[nodiscard]] Result<Done> probe(const StoreWait& wait) override;
  [[nodiscard]] std::string place() const override;

 private:
  friend class S3Writer;
  using Fields = std::vector<std::pair<std::string, std::string>>;
  S3Store(MediaPlace place, AwsIdentity identity, const Url& endpoint, Transport& transport,
          Clock& clock);

  [[nodiscard]] AwsRequest request(std::string method, const std::string& name) const;
  /// What came of a signed request. Errors: internal, also for an answer of 300 or more but 404 to
  /// a DELETE.
  [[nodiscard]] Result<HttpResponse> send(const AwsRequest& request, Body body,
                                          const StoreWait& wait);

  const MediaPlace place_;
  const AwsIdentity identity_;
  const std::string origin_;  // scheme and host
  const std::string host_;
  Transport& transport_;
  Clock& clock_;
};

}  // namespace falproxy::app
