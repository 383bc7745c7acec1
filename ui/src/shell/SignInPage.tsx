import { Anchor, Center, Code, Paper, Stack, Text, Title } from '@mantine/core';
import { useRouter, useSearch } from '@tanstack/react-router';
import { queryClient } from '../api/queries';
import { Logo } from './Logo';
import { SignInForm } from './SignInForm';

/** The first page of who is not signed in. */
export function SignInPage() {
  const router = useRouter();
  const { next } = useSearch({ from: '/sign-in' });
  const begin = async () => {
    queryClient.clear();
    await router.invalidate();
    router.history.push(next ?? '/');
  };
  return (
    <Center mih="100vh" p="md" component="main">
      <Paper withBorder p="xl" w="100%" maw={420} shadow="sm" radius="lg">
        <Stack gap="md">
          <Logo />
          <div>
            <Title order={1} size="h3">
              Sign in
            </Title>
            <Text size="sm" c="dimmed" mt={4}>
              With any API key of this server. What you can do here is what the key may do.
            </Text>
          </div>
          <SignInForm onSignedIn={begin} />
          <Text size="xs" c="dimmed">
            The first start of the server printed an admin key. Where it runs,{' '}
            <Code>adaptive keys create NAME</Code> makes another one. You stay signed in for a week. The API
            is described at{' '}
            <Anchor href="/openapi.json" inherit underline="always">
              /openapi.json
            </Anchor>
            .
          </Text>
        </Stack>
      </Paper>
    </Center>
  );
}
