// The KEY=VALUE lines that tell a test where everything is.
export function environment(controlUrl, services, seed) {
  const out = [];
  const put = (k, v) => v !== undefined && v !== null && out.push(`${k}=${v}`);
  put("EMU_CONTROL_URL", controlUrl);
  put("EMU_PID", process.pid);
  for (const s of Object.values(services)) {
    const P = s.name.toUpperCase();
    const app = s.cfg.oauth_apps?.[0] ?? s.cfg.oauth_clients?.[0];
    put(`${P}_BASE_URL`, s.url);
    const paths = { github: ["", "/login/oauth/authorize", "/login/oauth/access_token"], slack: ["/api", "/oauth/v2/authorize", "/api/oauth.v2.access"], linear: ["/graphql", "/oauth/authorize", "/oauth/token", "/oauth/revoke"], google: ["", "/o/oauth2/v2/auth", "/oauth2/token", "/oauth2/revoke"], microsoft: ["/v1.0", "/oauth2/v2.0/authorize", "/oauth2/v2.0/token", "/oauth2/v2.0/revoke"] }[s.name];
    if (paths) { put(`${P}_API_URL`, s.url + paths[0]); put(`${P}_AUTHORIZE_URL`, s.url + paths[1]); put(`${P}_TOKEN_URL`, s.url + paths[2]); if (paths[3]) put(`${P}_REVOKE_URL`, s.url + paths[3]); }
    put(`${P}_CLIENT_ID`, app?.client_id);
    put(`${P}_CLIENT_SECRET`, app?.client_secret);
    const tok = s.cfg.tokens?.[0]?.token ?? Object.entries(seed.tokens).find(([, u]) => u.service === s.name)?.[0];
    put(`${P}_TOKEN`, tok);
    if (s.name === "slack") put("SLACK_SIGNING_SECRET", s.signingSecret ?? s.cfg.signing_secret);
    for (const x of s.secrets ?? []) put(`${P}_APP_${x.id}_PRIVATE_KEY_B64`, Buffer.from(x.value).toString("base64"));
  }
  return out.join("\n") + "\n";
}
