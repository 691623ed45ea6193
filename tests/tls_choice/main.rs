//! Gets a transient token from the server at `URL`, whose root certificate is in the file `ROOT`
//! (DER), maybe through the proxy at `PROXY`, and prints the result.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "ring")]
    rustls::crypto::ring::default_provider().install_default().expect("it is the first");

    let client = plex_auth::Client::builder(std::env::var("URL")?)
        .token("xxxx")
        .client_identifier("tls-choice");
    #[cfg(any(feature = "rustls", feature = "native-tls", feature = "ring"))]
    let client = {
        let root = reqwest::Certificate::from_der(&std::fs::read(std::env::var("ROOT")?)?)?;
        client.configure_http(move |http| http.tls_certs_only([root.clone()]))
    };
    let client = match std::env::var("PROXY") {
        Ok(proxy) => {
            let proxy = reqwest::Proxy::all(proxy)?;
            client.configure_http(move |http| http.proxy(proxy.clone()))
        }
        Err(_) => client,
    };
    match client.build()?.transient_token().await {
        Ok(token) => println!("{} characters", token.expose_secret().len()),
        Err(error) => println!("{:?}, {} attempts: {error}", error.kind(), error.attempts()),
    }
    Ok(())
}
